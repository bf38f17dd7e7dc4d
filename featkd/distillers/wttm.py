"""Weighted transformed teacher matching: samples the teacher is unsure of count more."""

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
from featkd.distillers.requirements import Requirements, pick_logits
from featkd.distillers.shapes import Shapes
from featkd.distillers.ttm import transformed_divergences
from featkd.representation import full_precision
from featkd.types import StudentOutput, TeacherSignal


class WTTMConfig(DistillerConfig):
    """Settings of weighted matching; the defaults are the authors' example on CIFAR-100."""

    aliases = ("weighted_transformed_teacher_matching", "weighted_ttm")

    kind: Literal["wttm"] = "wttm"
    exponent: PositiveFloat = 0.2
    """Power that the teacher's probabilities are raised to: the inverse of its temperature."""
    kd_weight: NonNegativeFloat = 4.0
    """Smaller than in `ttm`: the weights of samples lie between 1 and ``K^(1 - exponent)``."""
    ce_weight: NonNegativeFloat = 1.0

    @property
    def requires(self) -> Requirements:
        """The teacher's logits."""
        return Requirements(logits=True)


class WTTM(Distiller[WTTMConfig]):
    """``ce_weight * CE + kd_weight * mean of U(p_t) * KL(q || p_s)``.

    Knowledge Distillation Based on Transformed Teacher Matching (Zheng and Yang, ICLR 2024). q is
    that of `TTM`; the weight U is the power sum ``sum p_t^exponent``, larger the less certain the
    teacher.
    """

    def __init__(self, config: WTTMConfig, shapes: Shapes) -> None:
        """Build the distiller.

        Raises:
            ModelError: Student and teacher have different numbers of classes.
        """
        super().__init__(config)
        shapes.require_same_classes("wttm")

    def __call__(
        self,
        student: StudentOutput,
        teacher: TeacherSignal,
        labels: Int[Tensor, " batch"],
        epoch: int,  # noqa: ARG002 (the contract passes it)
    ) -> LossTerms:
        """Compute ``cross_entropy`` and ``wttm``."""
        exponent, target = self.config.exponent, pick_logits(teacher.logits)
        divergences = transformed_divergences(student.logits, target, exponent)
        weighted = (power_sum(target, exponent) * divergences).mean()
        return LossTerms(
            (
                cross_entropy_term(student, labels, self.config.ce_weight),
                LossTerm("wttm", self.config.kd_weight, weighted),
            )
        )


def power_sum(
    teacher_logits: Float[Tensor, "batch classes"], exponent: float
) -> Float[Tensor, " batch"]:
    """Compute ``sum p_t^exponent`` over the classes of each sample.

    Args:
        teacher_logits: z_t with ``p_t = softmax(z_t)``; no gradient flows to them.
        exponent: Below 1, the sum is 1 for a certain teacher and largest for an undecided one.
    """
    log_probabilities = full_precision(teacher_logits.detach()).log_softmax(dim=1)
    return (exponent * log_probabilities).exp().sum(dim=1)
