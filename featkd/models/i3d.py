"""The I3D family: one class, a temporal kernel of 1 or 3 (stem: 1 or 7) per block.

I3D is Inception-V1 inflated to three dimensions (Carreira and Zisserman, "Quo Vadis, Action
Recognition?", CVPR 2017). Top-I3D, Bottom-I3D and I2D are its lighter relatives (Xie et al.,
"Rethinking Spatiotemporal Feature Learning", ECCV 2018): 2D kernels in the lower blocks, in the
upper blocks, or everywhere. Strides and the pools between stages are the same in all of them, so
their feature maps have equal shapes.

Module names are those of the published weights (``Mixed_3b.b1a.conv3d.weight``).
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import cast

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from featkd.errors import ModelError
from featkd.models.padding import pad_same, same_padding
from featkd.types import LinearClassifier

# Output channels (b0, b1a, b1b, b2a, b2b, b3) of every inception block.
_MIXED: Mapping[str, tuple[int, int, int, int, int, int]] = MappingProxyType(
    {
        "Mixed_3b": (64, 96, 128, 16, 32, 32),
        "Mixed_3c": (128, 128, 192, 32, 96, 64),
        "Mixed_4b": (192, 96, 208, 16, 48, 64),
        "Mixed_4c": (160, 112, 224, 24, 64, 64),
        "Mixed_4d": (128, 128, 256, 24, 64, 64),
        "Mixed_4e": (112, 144, 288, 32, 64, 64),
        "Mixed_4f": (256, 160, 320, 32, 128, 128),
        "Mixed_5b": (256, 160, 320, 32, 128, 128),
        "Mixed_5c": (384, 192, 384, 48, 128, 128),
    }
)
_LOWER = frozenset(
    {"Conv3d_1a_7x7", "Conv3d_2c_3x3", "Mixed_3b", "Mixed_3c", "Mixed_4b", "Mixed_4c"}
)
_UPPER = frozenset({"Mixed_4d", "Mixed_4e", "Mixed_4f", "Mixed_5b", "Mixed_5c"})

TEMPORAL_BLOCKS: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "i3d": _LOWER | _UPPER,
        "top_i3d": _UPPER,
        "bottom_i3d": _LOWER,
        "i2d": frozenset(),
    }
)
"""Which blocks of each member of the family look along time."""

LAST_LAYER = "Mixed_5c"


class ConvUnit(nn.Module):
    """Conv3d without bias, BatchNorm3d (eps 1e-3) and ReLU, SAME padding."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: tuple[int, int, int],
        stride: tuple[int, int, int] = (1, 1, 1),
        *,
        batch_norm_momentum: float,
    ) -> None:
        super().__init__()
        # A kernel of stride 1 and odd length pads evenly at any size: the convolution does it.
        self._pads_itself = stride == (1, 1, 1)
        time, height, width = kernel
        padding = (time // 2, height // 2, width // 2) if self._pads_itself else (0, 0, 0)
        self.conv3d = nn.Conv3d(in_channels, out_channels, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm3d(out_channels, eps=1e-3, momentum=batch_norm_momentum)

    def forward(
        self, x: Float[Tensor, "batch channels time height width"]
    ) -> Float[Tensor, "batch out_channels out_time out_height out_width"]:
        """Convolve, normalise, rectify."""
        if not self._pads_itself:
            x = pad_same(x, self.conv3d.kernel_size, self.conv3d.stride)
        return F.relu(self.bn(self.conv3d(x)), inplace=True)


class MaxPool(nn.Module):
    """Max pooling with SAME padding.

    Inputs are rectified, so it makes no difference whether zeros are padded, as in TensorFlow, or
    nothing: the pool's own padding, with windows that may end outside, saves a padded copy.
    """

    def __init__(self, kernel: tuple[int, int, int], stride: tuple[int, int, int]) -> None:
        super().__init__()
        self.kernel, self.stride = kernel, stride

    def forward(
        self, x: Float[Tensor, "batch channels time height width"]
    ) -> Float[Tensor, "batch channels out_time out_height out_width"]:
        """Pool."""
        front = [
            same_padding(size, kernel, stride)[0]
            for size, kernel, stride in zip(x.shape[2:], self.kernel, self.stride, strict=True)
        ]
        return F.max_pool3d(x, self.kernel, self.stride, front, ceil_mode=True)


class InceptionBlock(nn.Module):
    """Four branches, concatenated in the order b0, b1b, b2b, b3."""

    def __init__(
        self,
        in_channels: int,
        channels: tuple[int, int, int, int, int, int],
        temporal_kernel: int,
        *,
        batch_norm_momentum: float,
    ) -> None:
        super().__init__()
        point, window = (1, 1, 1), (temporal_kernel, 3, 3)

        def unit(inputs: int, outputs: int, kernel: tuple[int, int, int]) -> ConvUnit:
            return ConvUnit(inputs, outputs, kernel, batch_norm_momentum=batch_norm_momentum)

        b0, b1a, b1b, b2a, b2b, b3 = channels
        self.b0 = unit(in_channels, b0, point)
        self.b1a = unit(in_channels, b1a, point)
        self.b1b = unit(b1a, b1b, window)
        self.b2a = unit(in_channels, b2a, point)
        self.b2b = unit(b2a, b2b, window)
        self.b3a = MaxPool(window, (1, 1, 1))
        self.b3b = unit(in_channels, b3, point)
        self.out_channels = b0 + b1b + b2b + b3

    def forward(
        self, x: Float[Tensor, "batch channels time height width"]
    ) -> Float[Tensor, "batch out_channels time height width"]:
        """Run the branches and concatenate them."""
        branches = [self.b0(x), self.b1b(self.b1a(x)), self.b2b(self.b2a(x)), self.b3b(self.b3a(x))]
        return torch.cat(branches, dim=1)


class LogitsHead(nn.Module):
    """I3D's classifier: average over all of space and two time steps, dropout, 1x1x1 convolution.

    A map of T time steps gives T - 1 frame logits (one for T = 1).
    """

    def __init__(self, in_channels: int, num_classes: int, *, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.conv3d = nn.Conv3d(in_channels, num_classes, 1)

    def forward(
        self, x: Float[Tensor, "batch channels time height width"]
    ) -> Float[Tensor, "batch classes steps"]:
        """Frame logits, not yet averaged over time."""
        window = (min(2, x.shape[2]), x.shape[3], x.shape[4])
        pooled = F.avg_pool3d(x, window, stride=1)
        frame_logits: Tensor = self.conv3d(self.dropout(pooled))
        return frame_logits.flatten(start_dim=2)

    def start_from(self, classifier: LinearClassifier) -> None:
        """Copy a classifier of the same shape."""
        own = self.linear()
        with torch.no_grad():
            own.weight.copy_(classifier.weight)
            own.bias.copy_(classifier.bias)

    def linear(self) -> LinearClassifier:
        """The convolution as what it is: weights and bias of a linear map, shared, not copied."""
        weight = self.conv3d.weight.flatten(start_dim=1)
        return LinearClassifier(weight, cast("Tensor", self.conv3d.bias))


class I3DTrunk(nn.Module):
    """I3D, Top-I3D, Bottom-I3D or I2D up to Mixed_5c, of any width.

    Args:
        variant: a key of `TEMPORAL_BLOCKS`.
        width: multiplies every channel count; 0.25 gives a miniature that trains on a CPU.
        in_channels: 3 for RGB, 2 for flow.
        batch_norm_momentum: weight of a new batch in the running statistics. The published 0.01
            suits long training; a short one wants 0.1.

    Raises:
        ModelError: unknown variant, or a width that is not positive.
    """

    def __init__(
        self,
        *,
        variant: str = "i3d",
        width: float = 1.0,
        in_channels: int = 3,
        batch_norm_momentum: float = 0.01,
    ) -> None:
        super().__init__()
        if variant not in TEMPORAL_BLOCKS:
            raise ModelError(
                f"model is {variant!r}; expected one of {', '.join(sorted(TEMPORAL_BLOCKS))}"
            )
        if not width > 0:
            raise ModelError(f"width of {variant} is {width}; expected a number above 0")
        temporal = TEMPORAL_BLOCKS[variant]

        def scaled(channels: int) -> int:
            return max(1, round(channels * width))

        def unit(name: str, inputs: int, outputs: int, kernel: int, stride: int = 1) -> ConvUnit:
            time = kernel if name in temporal else 1
            return ConvUnit(
                inputs,
                outputs,
                (time, kernel, kernel),
                (stride, stride, stride),
                batch_norm_momentum=batch_norm_momentum,
            )

        stem = scaled(64)
        self.Conv3d_1a_7x7 = unit("Conv3d_1a_7x7", in_channels, stem, 7, 2)
        self.MaxPool3d_2a_3x3 = MaxPool((1, 3, 3), (1, 2, 2))
        self.Conv3d_2b_1x1 = unit("Conv3d_2b_1x1", stem, stem, 1)
        self.Conv3d_2c_3x3 = unit("Conv3d_2c_3x3", stem, scaled(192), 3)
        self.MaxPool3d_3a_3x3 = MaxPool((1, 3, 3), (1, 2, 2))
        channels = scaled(192)
        for name, widths in _MIXED.items():
            if name == "Mixed_4b":
                self.MaxPool3d_4a_3x3 = MaxPool((3, 3, 3), (2, 2, 2))
            if name == "Mixed_5b":
                self.MaxPool3d_5a_2x2 = MaxPool((2, 2, 2), (2, 2, 2))
            b0, b1a, b1b, b2a, b2b, b3 = map(scaled, widths)
            block = InceptionBlock(
                channels,
                (b0, b1a, b1b, b2a, b2b, b3),
                3 if name in temporal else 1,
                batch_norm_momentum=batch_norm_momentum,
            )
            self.add_module(name, block)
            channels = block.out_channels
        self.out_channels = channels
        self.stages = tuple(name for name, _ in self.named_children())

    def features(
        self, x: Float[Tensor, "batch in_channels time height width"]
    ) -> Float[Tensor, "batch channels out_time out_height out_width"]:
        """The last map, Mixed_5c: (B, 1024 width, T/8, H/32, W/32), not negative."""
        for name in self.stages:
            x = self.get_submodule(name)(x)
        return x

    def forward(
        self, x: Float[Tensor, "batch in_channels time height width"]
    ) -> Float[Tensor, "batch ..."]:
        """The last map."""
        return self.features(x)


class I3D(I3DTrunk):
    """I3D, Top-I3D, Bottom-I3D or I2D with its classifier.

    Args:
        num_classes: K.
        variant: as for `I3DTrunk`, and so are the others.
        width: multiplies every channel count.
        in_channels: 3 for RGB, 2 for flow.
        dropout: probability before the classifier.
        batch_norm_momentum: weight of a new batch in the running statistics.

    Raises:
        ModelError: unknown variant, or a width that is not positive.
    """

    def __init__(
        self,
        num_classes: int,
        *,
        variant: str = "i3d",
        width: float = 1.0,
        in_channels: int = 3,
        dropout: float = 0.5,
        batch_norm_momentum: float = 0.01,
    ) -> None:
        super().__init__(
            variant=variant,
            width=width,
            in_channels=in_channels,
            batch_norm_momentum=batch_norm_momentum,
        )
        self.logits = LogitsHead(self.out_channels, num_classes, dropout=dropout)

    def forward(
        self, x: Float[Tensor, "batch in_channels time height width"]
    ) -> Float[Tensor, "batch classes"]:
        """Logits averaged over time."""
        frame_logits: Tensor = self.logits(self.features(x))
        return frame_logits.mean(dim=2)
