"""Knowledge distillation of the classes of all priors."""

from typing import Literal

from pydantic import NonNegativeFloat, PositiveFloat

from featkd.detection.afsd.losses import DetectionLossSpec
from featkd.detection.afsd.output import DetectorOutput
from featkd.detection.distillation.base import (
    DetectionDistiller,
    DetectionTargets,
    supervised_terms,
)
from featkd.detection.distillation.signal import DetectionSignal
from featkd.distillers import LossTerm, LossTerms, Requirements, kd_loss
from featkd.errors import ModelError
from featkd.types import Spec


class DetectionKDSpec(Spec):
    """Settings of knowledge distillation for detection."""

    kind: Literal["kd"] = "kd"
    tau: PositiveFloat = 4.0
    """Temperature both logits are divided by."""
    kd_weight: NonNegativeFloat = 1.0
    """Of each of both terms."""

    @property
    def requires(self) -> Requirements:
        """The logits of all priors."""
        return Requirements(logits=True)


class DetectionKD(DetectionDistiller):
    """Each prior's softened classes become the teacher's, before and after refinement.

    Distilling the Knowledge in a Neural Network (Hinton, Vinyals, Dean 2015), section 2, with each
    prior as a sample and background as a class. Segments are learned from annotations alone.
    """

    def __init__(self, spec: DetectionKDSpec, losses: DetectionLossSpec) -> None:
        """Keep the settings."""
        super().__init__(losses)
        self.spec = spec

    def __call__(
        self,
        student: DetectorOutput,
        teacher: DetectionSignal,
        targets: DetectionTargets,
        epoch: int,  # noqa: ARG002 (the contract passes it)
    ) -> LossTerms:
        """Compute `supervised_terms`, ``kd_coarse`` and ``kd_refined``."""
        own = student.detections.coarse_logits, student.detections.refined_logits
        terms = list(supervised_terms(student, targets, self.losses))
        for name, logits, taught in zip(
            ("kd_coarse", "kd_refined"), own, teacher.logits(), strict=True
        ):
            if logits.shape != taught.shape:
                raise ModelError(
                    f"kd: the student's logits have shape {tuple(logits.shape)} and the teacher's "
                    f"{tuple(taught.shape)}; expected the same priors and classes"
                )
            value = kd_loss(logits.flatten(0, 1), taught.flatten(0, 1), self.spec.tau)
            terms.append(LossTerm(name, self.spec.kd_weight, value))
        return LossTerms(tuple(terms))
