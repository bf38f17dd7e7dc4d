"""Distillation from a stronger teacher: its relations are matched, not its values."""

from typing import Literal

import torch
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
from featkd.representation import full_precision
from featkd.types import StudentOutput, TeacherSignal


class DISTConfig(DistillerConfig):
    """Settings of distillation from a stronger teacher; the defaults are those used on CIFAR-100.

    On ImageNet the authors take a ``tau`` of 1.
    """

    aliases = ("distillation_from_a_stronger_teacher", "stronger_teacher")

    kind: Literal["dist"] = "dist"
    tau: PositiveFloat = 4.0
    """Temperature both logits are divided by."""
    beta: NonNegativeFloat = 2.0
    """Weight of the relation between classes, sample by sample."""
    gamma: NonNegativeFloat = 2.0
    """Weight of the relation between samples, class by class; it wants batches of 32 or more."""
    ce_weight: NonNegativeFloat = 1.0

    @property
    def requires(self) -> Requirements:
        """The teacher's logits."""
        return Requirements(logits=True)


class DIST(Distiller[DISTConfig]):
    """``ce_weight * CE + tau^2 * (beta * inter + gamma * intra)``.

    Knowledge Distillation from A Stronger Teacher (Huang et al., NeurIPS 2022): both terms are 1
    minus a Pearson correlation of probabilities, which leaves their mean and scale free.

    ``intra`` compares the samples of a batch. Over a handful of samples its correlations are
    mostly noise; take batches of 32 or more, or a ``gamma`` of 0.
    """

    def __init__(self, config: DISTConfig, shapes: Shapes) -> None:
        """Build the distiller.

        Raises:
            ModelError: Student and teacher have different numbers of classes.
        """
        super().__init__(config)
        shapes.require_same_classes("dist")

    def __call__(
        self,
        student: StudentOutput,
        teacher: TeacherSignal,
        labels: Int[Tensor, " batch"],
        epoch: int,  # noqa: ARG002 (the contract passes it)
    ) -> LossTerms:
        """Compute ``cross_entropy``, ``inter`` and ``intra``."""
        config, target = self.config, pick_logits(teacher.logits)
        return LossTerms(
            (
                cross_entropy_term(student, labels, config.ce_weight),
                LossTerm("inter", config.beta, inter_loss(student.logits, target, config.tau)),
                LossTerm("intra", config.gamma, intra_loss(student.logits, target, config.tau)),
            )
        )


def inter_loss(
    student_logits: Float[Tensor, "batch classes"],
    teacher_logits: Float[Tensor, "batch classes"],
    tau: float,
) -> Float[Tensor, ""]:
    """Compute ``tau^2 * (1 - mean correlation over the classes of a sample)``.

    Args:
        student_logits: z_s.
        teacher_logits: z_t; no gradient flows to them.
        tau: Temperature.
    """
    student, teacher = _soften(student_logits, tau), _soften(teacher_logits.detach(), tau)
    return tau**2 * (1 - pearson_correlation(student, teacher).mean())


def intra_loss(
    student_logits: Float[Tensor, "batch classes"],
    teacher_logits: Float[Tensor, "batch classes"],
    tau: float,
) -> Float[Tensor, ""]:
    """Compute ``tau^2 * (1 - mean correlation over the samples of a class)``.

    Args:
        student_logits: z_s.
        teacher_logits: z_t; no gradient flows to them.
        tau: Temperature.
    """
    student, teacher = _soften(student_logits, tau), _soften(teacher_logits.detach(), tau)
    return tau**2 * (1 - pearson_correlation(student.T, teacher.T).mean())


def pearson_correlation(
    left: Float[Tensor, "rows columns"], right: Float[Tensor, "rows columns"]
) -> Float[Tensor, " rows"]:
    """Compute ``a . b / (|a| |b| + 1e-8)`` of each row, a and b being the rows minus their means.

    A row that is constant up to rounding on either side, its ``|a|`` below 1e-6 of the row's norm,
    has no direction to correlate: it counts as 0 and gives no gradient, which would be rounding
    divided by 1e-8.
    """
    left_centred = left - left.mean(dim=1, keepdim=True)
    right_centred = right - right.mean(dim=1, keepdim=True)
    left_norm, right_norm = _norm(left_centred), _norm(right_centred)
    correlation = (left_centred * right_centred).sum(dim=1) / (left_norm * right_norm + 1e-8)
    varies = (left_norm > 1e-6 * _norm(left)) & (right_norm > 1e-6 * _norm(right))
    return torch.where(varies, correlation, 0.0)


def _soften(logits: Tensor, tau: float) -> Tensor:
    return (full_precision(logits) / tau).softmax(dim=1)


def _norm(rows: Tensor) -> Tensor:
    norms: Tensor = torch.linalg.vector_norm(rows, dim=1)
    return norms
