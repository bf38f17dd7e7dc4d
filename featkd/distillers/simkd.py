"""SimKD: the student's map becomes the teacher's, and the teacher's classifier reads it."""

from typing import Annotated, Literal

from jaxtyping import Float, Int
from pydantic import Field, NonNegativeFloat
from torch import Tensor
from torch.nn import functional as F

from featkd.distillers.align import pool_to_common_size, require_alignable
from featkd.distillers.base import (
    Distiller,
    DistillerConfig,
    LossTerm,
    LossTerms,
    cross_entropy_term,
)
from featkd.distillers.layer import teacher_target
from featkd.distillers.requirements import Requirements, Value, pick_classifier, pick_tap
from featkd.distillers.shapes import Shapes
from featkd.errors import ModelError
from featkd.models import LAST_LAYER, ProjectorSpec
from featkd.representation import full_precision
from featkd.types import StudentOutput, TapSpec, TeacherSignal


class SimKDConfig(DistillerConfig):
    """Settings of distillation with the reused teacher classifier."""

    aliases = ("reused_classifier",)

    kind: Literal["simkd"] = "simkd"
    reduction: Annotated[int, Field(ge=1)] = 2
    """How much narrower than the teacher's map the projector is inside; the paper tries 2, 4, 8."""
    temporal_kernel: Literal[1, 3] = 1
    """Extent in time of its middle convolution; 1 looks at every time step by itself."""
    feature_weight: NonNegativeFloat = 1.0
    """Weight of the squared difference of maps."""
    ce_weight: NonNegativeFloat = 0.0
    """Weight of the cross entropy, which the paper does without."""

    @property
    def tap(self) -> TapSpec:
        """The teacher's last map, which its classifier reads."""
        return TapSpec(LAST_LAYER, "full")

    @property
    def requires(self) -> Requirements:
        """The teacher's last map and classifier, and a student with a projector."""
        projector = ProjectorSpec(reduction=self.reduction, temporal_kernel=self.temporal_kernel)
        return Requirements(taps=(self.tap,), classifier=True, student_projector=projector)


class SimKD(Distiller[SimKDConfig]):
    """``feature_weight * mean (P(F_s) - F_t)^2``, without labels.

    Knowledge Distillation with the Reused Teacher Classifier (Chen et al., CVPR 2022), Eq. 3. The
    projector P and the teacher's classifier belong to the student, which keeps both after training:
    its logits are what the classifier says of P(F_s). Where the student's map is the larger one,
    it is pooled before P; where the teacher's is, it is pooled here.
    """

    def __init__(self, config: SimKDConfig, shapes: Shapes) -> None:
        """Build the distiller.

        Raises:
            ModelError: The student has no projector, or it gives other channels than the teacher's
                map has.
            RequirementError: The signal lacks the tap or the classifier.
        """
        super().__init__(config)
        pick_classifier(shapes.teacher_classifier)
        projected = _pick_projected(shapes.student_projected)
        target = pick_tap(shapes.teacher_features, config.tap)
        require_alignable("simkd", projected, target)
        if projected[0] != target[0]:
            raise ModelError(
                f"simkd: the student's projected map has shape {projected} and the teacher's "
                f"{target}; expected the same channels"
            )

    def __call__(
        self,
        student: StudentOutput,
        teacher: TeacherSignal,
        labels: Int[Tensor, " batch"],
        epoch: int,  # noqa: ARG002 (the contract passes it)
    ) -> LossTerms:
        """Compute ``cross_entropy`` and ``simkd``."""
        target = teacher_target(teacher.features, self.config.tap)
        loss = projected_map_loss(_pick_projected(student.projected), target)
        return LossTerms(
            (
                cross_entropy_term(student, labels, self.config.ce_weight),
                LossTerm("simkd", self.config.feature_weight, loss),
            )
        )


def projected_map_loss(
    projected: Float[Tensor, "batch channels _time _height _width"],
    teacher: Float[Tensor, "batch channels _teacher_time _teacher_height _teacher_width"],
) -> Float[Tensor, ""]:
    """Compute the mean squared difference at the smaller size of each axis.

    Args:
        projected: The student's map in the teacher's channels.
        teacher: No gradient flows to it.
    """
    own, target = pool_to_common_size(
        full_precision(projected), full_precision(teacher.detach()), axes=3
    )
    return F.mse_loss(own, target)


def _pick_projected(projected: Value | None) -> Value:
    if projected is None:
        raise ModelError(
            "simkd: the student gives no projected map; build it with reused_classifier"
        )
    return projected
