"""Knowledge distillation of softened logits."""

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


class KDConfig(DistillerConfig):
    """Settings of knowledge distillation; the defaults are those used on CIFAR-100."""

    aliases = ("hinton", "vanilla_kd", "soft_target")

    kind: Literal["kd"] = "kd"
    tau: PositiveFloat = 4.0
    """Temperature both logits are divided by."""
    kd_weight: NonNegativeFloat = 0.9
    ce_weight: NonNegativeFloat = 0.1

    @property
    def requires(self) -> Requirements:
        """The teacher's logits."""
        return Requirements(logits=True)


class KD(Distiller[KDConfig]):
    """Knowledge distillation: ``ce_weight * CE + kd_weight * tau^2 * KL(p_t || p_s)``.

    Distilling the Knowledge in a Neural Network (Hinton, Vinyals, Dean 2015), section 2.
    """

    def __init__(self, config: KDConfig, shapes: Shapes) -> None:
        """Build the distiller.

        Raises:
            ModelError: Student and teacher have different numbers of classes.
        """
        super().__init__(config)
        shapes.require_same_classes("kd")

    def __call__(
        self,
        student: StudentOutput,
        teacher: TeacherSignal,
        labels: Int[Tensor, " batch"],
        epoch: int,  # noqa: ARG002 (the contract passes it)
    ) -> LossTerms:
        """Compute ``cross_entropy`` and ``kd``."""
        distilled = kd_loss(student.logits, pick_logits(teacher.logits), self.config.tau)
        return LossTerms(
            (
                cross_entropy_term(student, labels, self.config.ce_weight),
                LossTerm("kd", self.config.kd_weight, distilled),
            )
        )


def kd_loss(
    student_logits: Float[Tensor, "batch classes"],
    teacher_logits: Float[Tensor, "batch classes"],
    tau: float,
) -> Float[Tensor, ""]:
    """Compute ``tau^2 * KL(softmax(z_t / tau) || softmax(z_s / tau))``, averaged over the batch.

    The factor keeps the gradients' size independent of the temperature.

    Args:
        student_logits: z_s.
        teacher_logits: z_t; no gradient flows to them.
        tau: Temperature.
    """
    student = (full_precision(student_logits) / tau).log_softmax(dim=1)
    target = (full_precision(teacher_logits.detach()) / tau).log_softmax(dim=1)
    return tau**2 * F.kl_div(student, target, reduction="batchmean", log_target=True)
