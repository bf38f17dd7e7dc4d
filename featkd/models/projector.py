"""A student's map brought to the teacher's channels, so that the teacher's classifier reads it."""

from typing import Annotated, Literal

from jaxtyping import Float
from pydantic import Field, PositiveInt
from torch import Tensor, nn
from torch.nn import functional as F

from featkd.types import Spec


class ProjectorSpec(Spec):
    """Shape of the projector."""

    reduction: Annotated[int, Field(ge=1)] = 2
    """How much narrower than the teacher's map it is inside."""
    temporal_kernel: Literal[1, 3] = 1
    """Extent in time of the middle convolution; 1 looks at every time step by itself."""


class ReusedClassifierSpec(Spec):
    """The teacher's classifier in a student, behind a projector."""

    channels: Annotated[int, Field(ge=1)]
    """Of the teacher's last map."""
    size: tuple[PositiveInt, PositiveInt, PositiveInt] | None = None
    """(T, H, W) of the teacher's last map, beyond which the student's is pooled; None: never."""
    projector: ProjectorSpec = ProjectorSpec()


class Projector(nn.Module):
    """Three convolutions without bias, each with batch norm and ReLU: 1x1x1, kx3x3, 1x1x1.

    Knowledge Distillation with the Reused Teacher Classifier (Chen et al., CVPR 2022), section 3.2,
    for maps with time. What it gives is not negative, as the last map of the I3D family is. A map
    that is larger than the teacher's is average-pooled before it is projected, each axis on its
    own: batch norm then sees as many positions as there are to compare.

    Args:
        in_channels: of the student's map.
        out_channels: of the teacher's.
        spec: width inside, and kernel in time.
        size: (T, H, W) of the teacher's map; None pools nothing.
        batch_norm_momentum: weight of a new batch in the running statistics.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        spec: ProjectorSpec,
        *,
        size: tuple[int, int, int] | None = None,
        batch_norm_momentum: float = 0.1,
    ) -> None:
        super().__init__()
        self.size = size
        inner, time = max(1, out_channels // spec.reduction), spec.temporal_kernel
        layers: list[nn.Module] = []
        for inputs, outputs, kernel in (
            (in_channels, inner, (1, 1, 1)),
            (inner, inner, (time, 3, 3)),
            (inner, out_channels, (1, 1, 1)),
        ):
            layers += [
                nn.Conv3d(inputs, outputs, kernel, padding="same", bias=False),
                nn.BatchNorm3d(outputs, momentum=batch_norm_momentum),
                nn.ReLU(inplace=True),
            ]
        self.layers = nn.Sequential(*layers)

    def forward(
        self, x: Float[Tensor, "batch in_channels time height width"]
    ) -> Float[Tensor, "batch out_channels pooled_time pooled_height pooled_width"]:
        """Pool what is larger than the teacher's map, then project."""
        if self.size is not None:
            time, height, width = map(min, x.shape[2:], self.size)
            if (time, height, width) != x.shape[2:]:
                x = F.adaptive_avg_pool3d(x, (time, height, width))
        projected: Tensor = self.layers(x)
        return projected
