"""Temporal feature pyramid, and the feature with one time step a frame."""

from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from featkd.detection.afsd.conv_norm import ConvNorm
from featkd.errors import ModelError
from featkd.representation import SpatialCollapse

MapShape = tuple[int, int, int, int]
"""(C, T, H, W) of a feature map."""


class FeaturePyramid(nn.Module):
    """Two feature maps become levels of halving length: AFSD (Lin et al., CVPR 2021), section 3.1.

    The first two levels collapse the space of one map each, every further level halves the one
    before it, and level 1 is added to level 0.

    Args:
        fine_shape: of the map for level 0 (Mixed_4f).
        coarse_shape: of the map for level 1 (Mixed_5c), half as long.
        channels: of every level.
        lengths: time steps of the levels.

    Raises:
        ModelError: the maps do not have the time steps of the first two levels.
    """

    def __init__(
        self,
        fine_shape: MapShape,
        coarse_shape: MapShape,
        channels: int,
        lengths: tuple[int, ...],
    ) -> None:
        super().__init__()
        if (fine_shape[1], coarse_shape[1]) != lengths[:2]:
            raise ModelError(
                f"feature maps have {fine_shape[1]} and {coarse_shape[1]} time steps; expected "
                f"those of the first two pyramid levels, {lengths[0]} and {lengths[1]}"
            )
        self.fine = SpatialCollapse(fine_shape[0], channels, fine_shape[2:])
        self.coarse = SpatialCollapse(coarse_shape[0], channels, coarse_shape[2:])
        self.halvings = nn.ModuleList(
            ConvNorm(channels, channels, kernel=3, stride=2) for _ in pairwise(lengths[1:])
        )

    def forward(
        self,
        fine: Float[Tensor, "batch fine_channels _fine_time _fine_height _fine_width"],
        coarse: Float[Tensor, "batch coarse_channels _time _height _width"],
    ) -> list[Float[Tensor, "batch channels _level_time"]]:
        """The levels, finest first.

        Raises:
            ModelError: the maps have another spatial size than the pyramid was built for.
        """
        levels = [self.coarse(coarse)]
        for halve in self.halvings:
            levels.append(halve(levels[-1]))
        finest = self.fine(fine)
        upsampled = F.interpolate(levels[0], size=finest.shape[2], mode="nearest")
        return [finest + upsampled, *levels]


class FrameFeature(nn.Module):
    """Level 0 brought to one time step a frame: AFSD, section 3.3.

    The first half of the channels is about starts, the second half about ends.
    """

    def __init__(self, channels: int, num_frames: int) -> None:
        super().__init__()
        self.num_frames = num_frames
        self.layers = nn.Sequential(
            *(ConvNorm(channels, channels, kernel) for kernel in (3, 3, 1)),
        )

    def forward(
        self, finest: Float[Tensor, "batch channels time"]
    ) -> Float[Tensor, "batch channels frames"]:
        """Repeat each time step for its frames, then convolve."""
        repeated = F.interpolate(finest, size=self.num_frames, mode="nearest")
        feature: Tensor = self.layers(repeated)
        return feature


def split_levels(
    joined: Float[Tensor, "batch channels priors"], lengths: tuple[int, ...]
) -> tuple[Float[Tensor, "batch channels _level_time"], ...]:
    """Cut a tensor over all priors into its levels."""
    return torch.split(joined, list(lengths), dim=2)
