"""Attention heads: how much each channel of a feature map matters at each time step.

Both heads map features F (B, C, T, H, W) to attention A (B, C, T) in (0, 1). Space is collapsed by
a convolution as large as the map, so A weighs channels and times, not positions.
"""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from featkd.errors import ModelError
from featkd.representation.collapse import SpatialCollapse
from featkd.representation.group_norm import build_group_norm

AttentionHeadKind = Literal["paper", "released"]


class PaperAttentionHead(nn.Module):
    """Attention as the paper writes it, ``A = sigmoid(GN(Conv1d(collapse(F))))``, for any T.

    Generative-based KD (AAAI 2024), Eq. 8. ``collapse`` is Conv3d (1, H, W), group norm and ReLU.
    """

    def __init__(
        self,
        channels: int,
        spatial_size: tuple[int, int],
        hidden: int | None = None,
        groups: int | None = None,
    ) -> None:
        """Build the head.

        Args:
            channels: C of the features and of the attention.
            spatial_size: (H, W) of the features.
            hidden: Channels after the collapse; None means C // 2.
            groups: Groups of both normalisations; None chooses by `build_group_norm`.

        Raises:
            ModelError: ``groups`` does not divide the channels.
        """
        super().__init__()
        hidden = hidden or max(1, channels // 2)
        self.collapse = SpatialCollapse(channels, hidden, spatial_size, groups)
        self.temporal = nn.Sequential(
            nn.Conv1d(hidden, channels, kernel_size=3, padding=1),
            build_group_norm(channels, groups),
        )

    @classmethod
    def for_features(
        cls,
        shape: tuple[int, int, int, int],
        hidden: int | None = None,
        groups: int | None = None,
    ) -> "PaperAttentionHead":
        """Build the head for features of shape (C, T, H, W)."""
        channels, _, height, width = shape
        return cls(channels, (height, width), hidden, groups)

    def forward(
        self, features: Float[Tensor, "batch channels time height width"]
    ) -> Float[Tensor, "batch channels time"]:
        """Compute the attention of features; T may differ from call to call.

        Raises:
            ModelError: The features are not of the ``spatial_size`` the head was built for.
        """
        collapsed = self.collapse(features)
        attention: Tensor = torch.sigmoid(self.temporal(collapsed))
        return attention


class ReleasedAttentionHead(nn.Module):
    """Attention as the paper's published code computes it, for one fixed T.

    After the collapse, time is stretched to ``upsample_length`` steps (nearest), convolved, and a
    linear layer over the stretched time brings it back to T.
    """

    def __init__(
        self,
        channels: int,
        spatial_size: tuple[int, int],
        num_frames: int,
        hidden: int | None = None,
        upsample_length: int | None = None,
        groups: int | None = None,
    ) -> None:
        """Build the head.

        Args:
            channels: C of the features and of the attention.
            spatial_size: (H, W) of the features.
            num_frames: T of the features; the head takes no other.
            hidden: Channels after the collapse; None means C // 2.
            upsample_length: Time steps after stretching; None means C, as in the published code
                (1024 for Mixed_5c, 832 for Mixed_4f).
            groups: Groups of both normalisations; None chooses by `build_group_norm`.

        Raises:
            ModelError: ``groups`` does not divide the channels.
        """
        super().__init__()
        hidden = hidden or max(1, channels // 2)
        self.num_frames = num_frames
        self.upsample_length = upsample_length or channels
        self.collapse = SpatialCollapse(channels, hidden, spatial_size, groups)
        self.temporal = nn.Sequential(
            nn.Conv1d(hidden, channels, kernel_size=3, padding=1),
            build_group_norm(channels, groups),
            nn.ReLU(),
            nn.Linear(self.upsample_length, num_frames),
        )

    @classmethod
    def for_features(
        cls,
        shape: tuple[int, int, int, int],
        hidden: int | None = None,
        groups: int | None = None,
    ) -> "ReleasedAttentionHead":
        """Build the head for features of shape (C, T, H, W)."""
        channels, num_frames, height, width = shape
        return cls(channels, (height, width), num_frames, hidden, groups=groups)

    def forward(
        self, features: Float[Tensor, "batch channels time height width"]
    ) -> Float[Tensor, "batch channels time"]:
        """Compute the attention of features.

        Raises:
            ModelError: The features do not have ``num_frames`` time steps, or are not of the
                ``spatial_size`` the head was built for.
        """
        if features.shape[2] != self.num_frames:
            raise ModelError(
                f"the released attention head got features of {features.shape[2]} time steps; "
                f"expected {self.num_frames}, because its linear layer is as long as the clip"
            )
        collapsed = self.collapse(features)
        stretched = F.interpolate(collapsed, size=self.upsample_length, mode="nearest")
        attention: Tensor = torch.sigmoid(self.temporal(stretched))
        return attention


ATTENTION_HEADS: dict[AttentionHeadKind, type[PaperAttentionHead | ReleasedAttentionHead]] = {
    "paper": PaperAttentionHead,
    "released": ReleasedAttentionHead,
}


def build_attention_head(
    kind: AttentionHeadKind,
    shape: tuple[int, int, int, int],
    hidden: int | None = None,
    groups: int | None = None,
) -> PaperAttentionHead | ReleasedAttentionHead:
    """Build the attention head a recipe names.

    Args:
        kind: ``paper`` or ``released``.
        shape: (C, T, H, W) of the features it will see.
        hidden: Channels after the collapse of space; None means C // 2.
        groups: Groups of the normalisations; None chooses by `build_group_norm`.

    Raises:
        ModelError: ``groups`` does not divide the channels.
    """
    return ATTENTION_HEADS[kind].for_features(shape, hidden, groups)


@torch.no_grad()
def attention_by_row(
    head: nn.Module, features: Float[Tensor, "rows channels time height width"]
) -> Float[Tensor, "rows channels time"]:
    """Compute a frozen head's attention of every row on its own.

    Rounding depends on the size of a batch; a row's attention must not depend on its neighbours,
    so that a cache holds exactly what a live teacher says.
    """
    return torch.cat([head(row[None]) for row in features])
