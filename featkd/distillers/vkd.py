"""VkD: an orthonormal projection of the student's feature equals the teacher's, normalised."""

from typing import Literal

from jaxtyping import Float, Int
from pydantic import NonNegativeFloat, PositiveFloat
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import orthogonal

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
from featkd.representation import full_precision
from featkd.types import StudentOutput, TapSpec, TeacherSignal


class VkDConfig(LayerConfig):
    """Settings of distillation through an orthonormal projection.

    The last layer is the one to compare; the authors found early ones to do harm.
    """

    aliases = ("orthogonal_projection",)

    kind: Literal["vkd"] = "vkd"
    weight: NonNegativeFloat = 1.0
    """Alpha, the weight of the comparison of features."""
    kd_weight: NonNegativeFloat = 1.0
    """Gamma, the weight of the divergence of logits; 0 needs none."""
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


class VkD(Distiller[VkDConfig]):
    """``CE + weight * mean smooth_L1(W f_s - LN(f_t)) + kd_weight * KL(p_t || p_s)``.

    VkD: Improving Knowledge Distillation using Orthogonal Projections (Miles, Elezi and Deng, CVPR
    2024), section 3, with pooled features f. W has orthonormal columns, or rows where the student
    has more channels; then it drops directions of the student's feature.
    """

    def __init__(self, config: VkDConfig, shapes: Shapes) -> None:
        """Build the distiller and its projection.

        Raises:
            ModelError: The student lacks the layer, or the classes differ.
            RequirementError: The signal lacks the tap.
        """
        super().__init__(config)
        if config.kd_weight > 0:
            shapes.require_same_classes("vkd")
        features = pick_student_layer(shapes.student_features, config.layer)
        target = pick_tap(shapes.teacher_features, config.tap)
        # Whatever step the optimiser takes, W stays orthonormal. Not so with torch's default for
        # unequal channels: it keeps signs in its parameters, which weight decay makes zeros of.
        self.modules["projector"] = orthogonal(
            nn.Linear(features[0], target[0], bias=False), orthogonal_map="cayley"
        )

    def __call__(
        self,
        student: StudentOutput,
        teacher: TeacherSignal,
        labels: Int[Tensor, " batch"],
        epoch: int,  # noqa: ARG002 (the contract passes it)
    ) -> LossTerms:
        """Compute ``cross_entropy``, ``vkd`` and, with a weight, ``kd``."""
        config = self.config
        projected = self.modules["projector"](student_pooled(student.features, config.layer))
        loss = normalised_target_loss(projected, teacher_target(teacher.features, config.tap))
        terms = [
            cross_entropy_term(student, labels, config.ce_weight),
            LossTerm("vkd", config.weight, loss),
        ]
        if config.kd_weight > 0:
            distilled = kd_loss(student.logits, pick_logits(teacher.logits), config.tau)
            terms.append(LossTerm("kd", config.kd_weight, distilled))
        return LossTerms(tuple(terms))


def normalised_target_loss(
    projected: Float[Tensor, "batch channels"], teacher: Float[Tensor, "batch channels"]
) -> Float[Tensor, ""]:
    """Compute ``smooth_L1(p - LN(t))``, averaged over batch and channels.

    The layer norm has no parameters: mean 0 and variance 1 over the channels of each sample.

    Args:
        projected: p, the student's.
        teacher: t; no gradient flows to it.
    """
    target = full_precision(teacher.detach())
    return F.smooth_l1_loss(full_precision(projected), F.layer_norm(target, target.shape[1:]))
