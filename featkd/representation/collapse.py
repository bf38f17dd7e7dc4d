"""Collapse of space: a whole map becomes one vector a time step."""

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from featkd.errors import ModelError
from featkd.representation.group_norm import build_group_norm


class SpatialCollapse(nn.Module):
    """Conv3d as large as the map, group norm, ReLU: (B, C, T, H, W) to (B, hidden, T)."""

    def __init__(
        self, channels: int, hidden: int, spatial_size: tuple[int, int], groups: int | None = None
    ) -> None:
        """Build the layers.

        Args:
            channels: C of the features.
            hidden: Channels afterwards.
            spatial_size: (H, W) of the features; the module takes no other.
            groups: Groups of the normalisation; None chooses by `build_group_norm`.

        Raises:
            ModelError: ``groups`` does not divide ``hidden``.
        """
        super().__init__()
        self.spatial_size = spatial_size
        self.convolution = nn.Conv3d(channels, hidden, kernel_size=(1, *spatial_size))
        self.norm = build_group_norm(hidden, groups)

    def forward(
        self, features: Float[Tensor, "batch channels time height width"]
    ) -> Float[Tensor, "batch hidden time"]:
        """Collapse features.

        Raises:
            ModelError: The features are not of the spatial size the module was built for.
        """
        if tuple(features.shape[3:]) != self.spatial_size:
            # A larger map would pass the convolution and come out as additional time steps.
            raise ModelError(
                f"features have spatial size {tuple(features.shape[3:])}; expected "
                f"{self.spatial_size}, for which the collapse of space was built"
            )
        return F.relu(self.norm(self.convolution(features))).flatten(2)
