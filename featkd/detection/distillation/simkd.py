"""SimKD for detection: the student's maps become the teacher's, and its detector reads them."""

from typing import Literal

from pydantic import NonNegativeFloat

from featkd.detection.afsd.detector import DETECTOR_LAYERS
from featkd.detection.afsd.losses import DetectionLossSpec
from featkd.detection.afsd.output import DetectorOutput
from featkd.detection.distillation.base import DetectionDistiller, DetectionTargets
from featkd.detection.distillation.signal import DetectionSignal
from featkd.distillers import LossTerm, LossTerms, Requirements
from featkd.distillers.simkd import projected_map_loss
from featkd.errors import ModelError
from featkd.models import ProjectorSpec
from featkd.types import Spec, TapSpec


class DetectionSimKDSpec(Spec):
    """Settings of distillation with the reused teacher detector."""

    kind: Literal["simkd"] = "simkd"
    feature_weight: NonNegativeFloat = 1.0
    """Of the squared difference of the maps of each layer."""
    projector: ProjectorSpec = ProjectorSpec()
    """How the student's maps are brought to the teacher's channels."""

    @property
    def requires(self) -> Requirements:
        """Both maps, and the teacher's detector behind projectors."""
        return Requirements(
            taps=tuple(TapSpec(layer, "full") for layer in DETECTOR_LAYERS),
            classifier=True,
            student_projector=self.projector,
        )


class DetectionSimKD(DetectionDistiller):
    """``feature_weight * mean (P(F_s) - F_t)^2`` for each map the detector reads.

    Knowledge Distillation with the Reused Teacher Classifier (Chen et al., CVPR 2022), Eq. 3, with
    the teacher's whole detector in the place of its classifier. The student keeps it and the
    projectors (`featkd.detection.afsd.ReusedDetectorSpec`).
    """

    def __init__(self, spec: DetectionSimKDSpec, losses: DetectionLossSpec) -> None:
        """Keep the settings."""
        super().__init__(losses)
        self.spec = spec

    @property
    def compares_boundaries(self) -> bool:
        """Never, as annotations are not looked at."""
        return False

    def __call__(
        self,
        student: DetectorOutput,
        teacher: DetectionSignal,
        targets: DetectionTargets,  # noqa: ARG002 (the contract passes it)
        epoch: int,  # noqa: ARG002
    ) -> LossTerms:
        """Compute ``simkd_<layer>`` for both layers; annotations are not looked at."""
        terms = []
        for layer in DETECTOR_LAYERS:
            if layer not in student.projected:
                raise ModelError(
                    f"simkd: the student gives no projected map of layer {layer!r}; build it with "
                    "reused_detector"
                )
            projected, target = student.projected[layer], teacher.feature(layer)
            if projected.shape[1] != target.shape[1]:
                raise ModelError(
                    f"simkd: the student's projected map of layer {layer!r} has shape "
                    f"{tuple(projected.shape)} and the teacher's {tuple(target.shape)}; expected "
                    "the same channels"
                )
            value = projected_map_loss(projected, target)
            terms.append(LossTerm(f"simkd_{layer}", self.spec.feature_weight, value))
        return LossTerms(tuple(terms))
