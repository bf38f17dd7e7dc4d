"""The methods that a recipe for detection can name."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from featkd.detection.afsd.losses import DetectionLossSpec
from featkd.detection.distillation.base import DetectionDistiller, DetectorAlone
from featkd.detection.distillation.generative import DetectionGenerative, DetectionGenerativeSpec
from featkd.detection.distillation.kd import DetectionKD, DetectionKDSpec
from featkd.detection.distillation.simkd import DetectionSimKD, DetectionSimKDSpec
from featkd.distillers import Requirements
from featkd.types import Spec


class DetectorAloneSpec(Spec):
    """A student that nobody teaches."""

    kind: Literal["none"] = "none"

    @property
    def requires(self) -> Requirements:
        """Nothing."""
        return Requirements()


DetectionDistillerSpec = Annotated[
    DetectorAloneSpec | DetectionKDSpec | DetectionSimKDSpec | DetectionGenerativeSpec,
    Field(discriminator="kind"),
]
"""Settings of any method for detection."""

AnyDetectionSpec = (
    DetectorAloneSpec | DetectionKDSpec | DetectionSimKDSpec | DetectionGenerativeSpec
)


def build_detection_distiller(
    spec: AnyDetectionSpec,
    losses: DetectionLossSpec,
    shapes: Mapping[str, tuple[int, int, int, int]],
    teacher_attention: Mapping[str, tuple[int, int]],
) -> DetectionDistiller:
    """Build a distiller.

    Args:
        spec: its settings.
        losses: weights of the terms that learn from annotations.
        shapes: layer to (C, T, H, W) of the student's maps.
        teacher_attention: layer to (C, T) of the teacher's attention, where it is needed.

    Raises:
        ModelError: the teacher's attention cannot be aligned with the student's.
    """
    match spec:
        case DetectorAloneSpec():
            return DetectorAlone(losses)
        case DetectionKDSpec():
            return DetectionKD(spec, losses)
        case DetectionSimKDSpec():
            return DetectionSimKD(spec, losses)
        case DetectionGenerativeSpec():
            return DetectionGenerative(spec, losses, shapes, teacher_attention)
