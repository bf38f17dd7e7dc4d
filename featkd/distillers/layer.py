"""What distillers that compare one layer have in common."""

from collections.abc import Mapping

from jaxtyping import Float
from torch import Tensor

from featkd.distillers.base import DistillerConfig
from featkd.distillers.requirements import pick_student_layer, pick_tap
from featkd.models import LAST_LAYER
from featkd.representation import full_precision
from featkd.types import Reduction, TapSpec


class LayerConfig(DistillerConfig):
    """Base of the settings of a distiller that compares one layer of both networks."""

    layer: str = LAST_LAYER
    """Layer of the student."""
    teacher_layer: str | None = None
    """Its partner in the teacher; None means the layer of the same name."""

    def tap_of(self, reduction: Reduction) -> TapSpec:
        """The teacher's layer with a reduction."""
        return TapSpec(self.teacher_layer or self.layer, reduction)


def student_map(
    features: Mapping[str, Tensor], layer: str
) -> Float[Tensor, "batch channels time height width"]:
    """Give a layer of the student in full precision. Raises ModelError where it lacks the layer."""
    return full_precision(pick_student_layer(features, layer))


def student_pooled(features: Mapping[str, Tensor], layer: str) -> Float[Tensor, "batch channels"]:
    """Average a layer of the student over T, H, W; raises as `student_map`."""
    return student_map(features, layer).mean(dim=(2, 3, 4))


def teacher_target(features: Mapping[str, Tensor], tap: TapSpec) -> Float[Tensor, "batch ..."]:
    """Give a tap in full precision and without gradient.

    Raises:
        RequirementError: The signal lacks the tap.
    """
    return full_precision(pick_tap(features, tap).detach())
