"""Logit standardisation: distillation that does not see the scale of logits."""

from typing import Literal

from jaxtyping import Float, Int
from pydantic import NonNegativeFloat, PositiveFloat
from torch import Tensor

from featkd.distillers.base import (
    Distiller,
    DistillerConfig,
    LossTerm,
    LossTerms,
    cross_entropy_term,
)
from featkd.distillers.kd import kd_loss
from featkd.distillers.requirements import Requirements, pick_logits
from featkd.distillers.shapes import Shapes
from featkd.representation import full_precision
from featkd.types import StudentOutput, TeacherSignal


class LSKDConfig(DistillerConfig):
    """Settings of logit standardisation; the defaults are those used on CIFAR-100."""

    aliases = ("logit_standardization", "logit_standardisation")

    kind: Literal["lskd"] = "lskd"
    tau: PositiveFloat = 2.0
    """Base temperature, in standard deviations of a sample's logits."""
    kd_weight: NonNegativeFloat = 9.0
    """The authors search it together with ``tau``: 6 to 18 for a ``tau`` of 2 to 4."""
    ce_weight: NonNegativeFloat = 0.1

    @property
    def requires(self) -> Requirements:
        """The teacher's logits."""
        return Requirements(logits=True)


class LSKD(Distiller[LSKDConfig]):
    """``ce_weight * CE + kd_weight * KD`` of standardised logits.

    Logit Standardization in Knowledge Distillation (Sun et al., CVPR 2024): each sample has a
    temperature of its own, the standard deviation of its logits times ``tau``, and the student
    another than the teacher.
    """

    def __init__(self, config: LSKDConfig, shapes: Shapes) -> None:
        """Build the distiller.

        Raises:
            ModelError: Student and teacher have different numbers of classes.
        """
        super().__init__(config)
        shapes.require_same_classes("lskd")

    def __call__(
        self,
        student: StudentOutput,
        teacher: TeacherSignal,
        labels: Int[Tensor, " batch"],
        epoch: int,  # noqa: ARG002 (the contract passes it)
    ) -> LossTerms:
        """Compute ``cross_entropy`` and ``lskd``."""
        distilled = lskd_loss(student.logits, pick_logits(teacher.logits), self.config.tau)
        return LossTerms(
            (
                cross_entropy_term(student, labels, self.config.ce_weight),
                LossTerm("lskd", self.config.kd_weight, distilled),
            )
        )


def lskd_loss(
    student_logits: Float[Tensor, "batch classes"],
    teacher_logits: Float[Tensor, "batch classes"],
    tau: float,
) -> Float[Tensor, ""]:
    """Compute `featkd.distillers.kd_loss` of standardised logits.

    Args:
        student_logits: z_s.
        teacher_logits: z_t; no gradient flows to them.
        tau: Temperature the standardised logits are divided by.
    """
    return kd_loss(standardise_logits(student_logits), standardise_logits(teacher_logits), tau)


def standardise_logits(
    logits: Float[Tensor, "batch classes"],
) -> Float[Tensor, "batch classes"]:
    """Compute ``(z - mean) / (std + 1e-7)`` of each sample over its classes; std is unbiased."""
    logits = full_precision(logits)
    mean, std = logits.mean(dim=1, keepdim=True), logits.std(dim=1, keepdim=True)
    return (logits - mean) / (std + 1e-7)
