"""Decoupled knowledge distillation: how likely the target is, and how the rest is shared out."""

from typing import Literal

import torch
from jaxtyping import Float, Int
from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor
from torch.nn import functional as F

from featkd.distillers.base import (
    Distiller,
    DistillerConfig,
    LossTerm,
    LossTerms,
    cross_entropy_term,
)
from featkd.distillers.lskd import standardise_logits
from featkd.distillers.requirements import Requirements, pick_logits
from featkd.distillers.shapes import Shapes
from featkd.representation import full_precision
from featkd.types import StudentOutput, TeacherSignal


class DKDConfig(DistillerConfig):
    """Settings of decoupled distillation; the defaults are those used on CIFAR-100.

    On ImageNet the authors take ``alpha`` 1, ``beta`` 0.5, ``tau`` 1 and ``warmup_epochs`` 1.
    """

    aliases = ("decoupled", "decoupled_kd")

    kind: Literal["dkd"] = "dkd"
    tau: PositiveFloat = 4.0
    """Temperature both logits are divided by."""
    alpha: NonNegativeFloat = 1.0
    """Weight of the target class."""
    beta: NonNegativeFloat = 8.0
    """Weight of the other classes; the more certain the teacher, the larger (2 to 8)."""
    warmup_epochs: PositiveInt = 20
    """Epochs over which both weights grow linearly; 1 means at once."""
    standardise: bool = False
    """Whether logits are standardised first, as in `lskd`, which goes with ``tau`` 2 and both
    weights times 9."""
    ce_weight: NonNegativeFloat = 1.0

    @property
    def requires(self) -> Requirements:
        """The teacher's logits."""
        return Requirements(logits=True)


class DKD(Distiller[DKDConfig]):
    """``ce_weight * CE + min(epoch / warmup_epochs, 1) * (alpha * TCKD + beta * NCKD)``.

    Decoupled Knowledge Distillation (Zhao et al., CVPR 2022), Eq. 7, with the warm-up of the
    authors' code. Plain distillation is ``TCKD + (1 - p_t) * NCKD`` sample by sample, where p_t is
    the teacher's probability of the target: it leaves out what a certain teacher says of the rest.
    """

    def __init__(self, config: DKDConfig, shapes: Shapes) -> None:
        """Build the distiller.

        Raises:
            ModelError: Student and teacher have different numbers of classes.
        """
        super().__init__(config)
        shapes.require_same_classes("dkd")

    def __call__(
        self,
        student: StudentOutput,
        teacher: TeacherSignal,
        labels: Int[Tensor, " batch"],
        epoch: int,
    ) -> LossTerms:
        """Compute ``cross_entropy``, ``tckd`` and ``nckd``."""
        config = self.config
        logits, target = student.logits, pick_logits(teacher.logits)
        if config.standardise:
            logits, target = standardise_logits(logits), standardise_logits(target)
        ramp = min(epoch / config.warmup_epochs, 1.0)
        tckd = tckd_loss(logits, target, labels, config.tau)
        nckd = nckd_loss(logits, target, labels, config.tau)
        return LossTerms(
            (
                cross_entropy_term(student, labels, config.ce_weight),
                LossTerm("tckd", ramp * config.alpha, tckd),
                LossTerm("nckd", ramp * config.beta, nckd),
            )
        )


def tckd_loss(
    student_logits: Float[Tensor, "batch classes"],
    teacher_logits: Float[Tensor, "batch classes"],
    labels: Int[Tensor, " batch"],
    tau: float,
) -> Float[Tensor, ""]:
    """Compute ``tau^2 * KL`` between the distributions (target, rest), batch mean.

    Both logarithms are differences of log sums of exponentials, so a student that is certain of
    the target keeps a finite loss.

    Args:
        student_logits: z_s.
        teacher_logits: z_t; no gradient flows to them.
        labels: Target class of each sample.
        tau: Temperature.
    """

    def target_and_rest(logits: Tensor) -> Tensor:
        logits = full_precision(logits) / tau
        target = logits.gather(1, labels[:, None])
        rest = _without_target(logits, labels).logsumexp(dim=1, keepdim=True)
        return torch.cat([target, rest], dim=1).log_softmax(dim=1)

    return tau**2 * F.kl_div(
        target_and_rest(student_logits),
        target_and_rest(teacher_logits.detach()),
        reduction="batchmean",
        log_target=True,
    )


def nckd_loss(
    student_logits: Float[Tensor, "batch classes"],
    teacher_logits: Float[Tensor, "batch classes"],
    labels: Int[Tensor, " batch"],
    tau: float,
) -> Float[Tensor, ""]:
    """Compute ``tau^2 * KL`` between the distributions over all but the target, batch mean.

    Args:
        student_logits: z_s.
        teacher_logits: z_t; no gradient flows to them.
        labels: Target class of each sample.
        tau: Temperature.
    """

    def others(logits: Tensor) -> Tensor:
        return (_without_target(full_precision(logits), labels) / tau).log_softmax(dim=1)

    return tau**2 * F.kl_div(
        others(student_logits),
        others(teacher_logits.detach()),
        reduction="batchmean",
        log_target=True,
    )


def _without_target(
    logits: Float[Tensor, "batch classes"], labels: Int[Tensor, " batch"]
) -> Float[Tensor, "batch others"]:
    others = torch.arange(logits.shape[1] - 1, device=logits.device)
    return logits.gather(1, others + (others >= labels[:, None]))
