"""Transformed teacher matching: only the teacher has a temperature."""

from typing import Literal

from jaxtyping import Float, Int
from pydantic import NonNegativeFloat, PositiveFloat
from torch import Tensor
from torch.nn import functional as F

from featkd.distillers.base import (
    Distiller,
    DistillerConfig,
    LossTerm,
    LossTerms,
    cross_entropy_term,
)
from featkd.distillers.requirements import Requirements, pick_logits
from featkd.distillers.shapes import Shapes
from featkd.representation import full_precision
from featkd.types import StudentOutput, TeacherSignal


class TTMConfig(DistillerConfig):
    """Settings of transformed teacher matching; the defaults are those used on CIFAR-100."""

    aliases = ("transformed_teacher_matching",)

    kind: Literal["ttm"] = "ttm"
    exponent: PositiveFloat = 0.1
    """Power that the teacher's probabilities are raised to: the inverse of its temperature."""
    kd_weight: NonNegativeFloat = 45.0
    ce_weight: NonNegativeFloat = 1.0

    @property
    def requires(self) -> Requirements:
        """The teacher's logits."""
        return Requirements(logits=True)


class TTM(Distiller[TTMConfig]):
    """``ce_weight * CE + kd_weight * KL(q || p_s)`` where q is the teacher's p_t to a power.

    Knowledge Distillation Based on Transformed Teacher Matching (Zheng and Yang, ICLR 2024).
    Without a temperature on the student's side the objective of distillation gains a Renyi
    entropy of the student, which regularises it.
    """

    def __init__(self, config: TTMConfig, shapes: Shapes) -> None:
        """Build the distiller.

        Raises:
            ModelError: Student and teacher have different numbers of classes.
        """
        super().__init__(config)
        shapes.require_same_classes("ttm")

    def __call__(
        self,
        student: StudentOutput,
        teacher: TeacherSignal,
        labels: Int[Tensor, " batch"],
        epoch: int,  # noqa: ARG002 (the contract passes it)
    ) -> LossTerms:
        """Compute ``cross_entropy`` and ``ttm``."""
        divergences = transformed_divergences(
            student.logits, pick_logits(teacher.logits), self.config.exponent
        )
        return LossTerms(
            (
                cross_entropy_term(student, labels, self.config.ce_weight),
                LossTerm("ttm", self.config.kd_weight, divergences.mean()),
            )
        )


def transformed_divergences(
    student_logits: Float[Tensor, "batch classes"],
    teacher_logits: Float[Tensor, "batch classes"],
    exponent: float,
) -> Float[Tensor, " batch"]:
    """Compute ``KL(q || softmax(z_s))`` of each sample, ``q = p_t^exponent / sum p_t^exponent``.

    Args:
        student_logits: z_s; no temperature divides them.
        teacher_logits: z_t with ``p_t = softmax(z_t)``; no gradient flows to them.
        exponent: Of the power transform; q is ``softmax(exponent * z_t)``.
    """
    student = full_precision(student_logits).log_softmax(dim=1)
    target = (exponent * full_precision(teacher_logits.detach())).log_softmax(dim=1)
    return F.kl_div(student, target, reduction="none", log_target=True).sum(dim=1)
