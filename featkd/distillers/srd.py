"""The simple recipe: standardised features, compared by the logarithm of a power sum."""

from typing import Literal

from jaxtyping import Float, Int
from pydantic import NonNegativeFloat, PositiveFloat
from torch import Tensor, nn
from torch.nn import functional as F

from featkd.distillers.base import Distiller, LossTerm, LossTerms, cross_entropy_term
from featkd.distillers.kd import kd_loss
from featkd.distillers.layer import LayerConfig, student_pooled, teacher_target
from featkd.distillers.requirements import (
    Requirements,
    pick_logits,
    pick_student_layer,
    pick_tap,
)
from featkd.distillers.shapes import Shapes
from featkd.errors import ModelError
from featkd.representation import full_precision
from featkd.types import StudentOutput, TapSpec, TeacherSignal

_EPSILON = 1e-4


class SRDConfig(LayerConfig):
    """Settings of the simple recipe.

    Features are standardised over the batch, so it should have tens of samples.
    """

    aliases = ("simple_recipe",)

    kind: Literal["srd"] = "srd"
    weight: NonNegativeFloat = 2.0
    """Weight of the comparison of features."""
    kd_weight: NonNegativeFloat = 1.0
    """Weight of the divergence of logits; 0 needs none."""
    tau: PositiveFloat = 1.0
    """Temperature of that divergence."""
    ce_weight: NonNegativeFloat = 1.0

    @property
    def tap(self) -> TapSpec:
        """The teacher's pooled feature."""
        return self.tap_of("pooled")

    @property
    def requires(self) -> Requirements:
        """The teacher's pooled feature and its logits."""
        return Requirements(
            logits=self.kd_weight > 0, taps=(self.tap,), student_layers=(self.layer,)
        )


class SRD(Distiller[SRDConfig]):
    """``CE + weight * log sum |BN(W f_s + b) - BN(f_t)|^4 + kd_weight * KL(p_t || p_s)``.

    Understanding the Role of the Projector in Knowledge Distillation (Miles and Mikolajczyk, AAAI
    2024), section 3, with pooled features f. The logarithm makes gradients independent of the size
    of the difference. The loss may be negative, and a larger batch or more channels raise it by a
    constant.
    """

    def __init__(self, config: SRDConfig, shapes: Shapes) -> None:
        """Build the distiller and its projection.

        Raises:
            ModelError: The student lacks the layer, or the classes differ.
            RequirementError: The signal lacks the tap.
        """
        super().__init__(config)
        if config.kd_weight > 0:
            shapes.require_same_classes("srd")
        features = pick_student_layer(shapes.student_features, config.layer)
        target = pick_tap(shapes.teacher_features, config.tap)
        self.modules["projector"] = nn.Linear(features[0], target[0])

    def __call__(
        self,
        student: StudentOutput,
        teacher: TeacherSignal,
        labels: Int[Tensor, " batch"],
        epoch: int,  # noqa: ARG002 (the contract passes it)
    ) -> LossTerms:
        """Compute ``cross_entropy``, ``srd`` and, with a weight, ``kd``."""
        config = self.config
        projected = self.modules["projector"](student_pooled(student.features, config.layer))
        loss = log_power_loss(projected, teacher_target(teacher.features, config.tap))
        terms = [
            cross_entropy_term(student, labels, config.ce_weight),
            LossTerm("srd", config.weight, loss),
        ]
        if config.kd_weight > 0:
            distilled = kd_loss(student.logits, pick_logits(teacher.logits), config.tau)
            terms.append(LossTerm("kd", config.kd_weight, distilled))
        return LossTerms(tuple(terms))


def log_power_loss(
    student: Float[Tensor, "batch channels"], teacher: Float[Tensor, "batch channels"]
) -> Float[Tensor, ""]:
    """Compute ``log sum |BN(s) - BN(t)|^4`` over batch and channels.

    Args:
        student: s, projected to the teacher's channels.
        teacher: t; no gradient flows to it.

    Raises:
        ModelError: The batch has one sample, which cannot be standardised.
    """
    difference = standardise(student) - standardise(teacher.detach())
    return difference.pow(4).sum().log()


def standardise(features: Float[Tensor, "batch channels"]) -> Float[Tensor, "batch channels"]:
    """Subtract the batch's mean and divide by ``sqrt(variance + 1e-4)``, channel by channel.

    Raises:
        ModelError: The batch has one sample.
    """
    if len(features) < 2:
        raise ModelError("srd: the batch has 1 sample; expected two or more to standardise over")
    return F.batch_norm(full_precision(features), None, None, training=True, eps=_EPSILON)
