"""Feature normalised distillation: long features are shortened before they are classified."""

from typing import Literal

import torch
from jaxtyping import Float, Int
from pydantic import NonNegativeFloat, PositiveFloat
from torch import Tensor
from torch.nn import functional as F

from featkd.distillers.base import Distiller, LossTerm, LossTerms, cross_entropy_term
from featkd.distillers.layer import LayerConfig, student_pooled, teacher_target
from featkd.distillers.requirements import (
    Requirements,
    Value,
    pick_classifier,
    pick_student_layer,
    pick_tap,
)
from featkd.distillers.shapes import Shapes
from featkd.errors import ModelError
from featkd.representation import full_precision
from featkd.types import StudentOutput, TapSpec, TeacherSignal


class FNConfig(LayerConfig):
    """Settings of feature normalised distillation; the defaults are those used on CIFAR-100.

    ``layer`` is the one that the student's classifier reads, and ``teacher_layer`` the teacher's.
    Where the student has an attention head, its features are taken before it.
    """

    aliases = ("feature_normalization", "feature_normalized_kd")

    kind: Literal["fn"] = "fn"
    cap: PositiveFloat = 2.0
    """Norm that features are shortened to. It belongs to the scale of the features, which the
    logged ``feature_norm`` tells."""
    weight: NonNegativeFloat = 9.0
    """Weight of the soft cross entropy beside the cross entropy."""
    ce_weight: NonNegativeFloat = 1.0

    @property
    def tap(self) -> TapSpec:
        """The teacher's feature before its classifier."""
        return self.tap_of("pooled")

    @property
    def requires(self) -> Requirements:
        """The teacher's pooled feature and its classifier."""
        return Requirements(taps=(self.tap,), classifier=True, student_layers=(self.layer,))


class FN(Distiller[FNConfig]):
    """``CE(z_s, y) + weight * H(softmax(W_t g(f_t) + b_t), softmax(W_s g(f_s) + b_s))``.

    Feature Normalized Knowledge Distillation for Image Classification (Xu et al., ECCV 2020),
    section 3, as the authors' code computes it: g caps the norm of the pooled feature f and leaves
    shorter ones alone. Each network keeps its own classifier. There is no temperature: the norm of
    a feature is one of its own.
    """

    def __init__(self, config: FNConfig, shapes: Shapes) -> None:
        """Build the distiller.

        Raises:
            ModelError: The student lacks the layer or a linear classifier, a classifier does not
                read its layer, or the classes differ.
            RequirementError: The signal lacks the tap or the classifier.
        """
        super().__init__(config)
        own = _pick_student_classifier(shapes.student_classifier)
        taught = pick_classifier(shapes.teacher_classifier)
        features = pick_student_layer(shapes.student_features, config.layer)
        target = pick_tap(shapes.teacher_features, config.tap)
        for whose, classifier, channels in (
            ("student", own, features[0]),
            ("teacher", taught, target[0]),
        ):
            if classifier[1] != channels:
                raise ModelError(
                    f"fn: the {whose}'s classifier has shape {classifier} and its features "
                    f"{channels} channels; expected the layer that the classifier reads"
                )
        if own[0] != taught[0]:
            raise ModelError(
                f"fn: the student's classifier has shape {own} and the teacher's {taught}; "
                "expected the same classes"
            )

    def __call__(
        self,
        student: StudentOutput,
        teacher: TeacherSignal,
        labels: Int[Tensor, " batch"],
        epoch: int,  # noqa: ARG002 (the contract passes it)
    ) -> LossTerms:
        """Compute ``cross_entropy``, ``fn``, and to look at, ``feature_norm``.

        The last, of weight 0, is the student's mean norm before the cap.
        """
        config = self.config
        features = student_pooled(student.features, config.layer)
        logits = _pick_student_classifier(student.classifier)(cap_norm(features, config.cap))
        with torch.no_grad():
            target = teacher_target(teacher.features, config.tap)
            taught = pick_classifier(teacher.classifier)(cap_norm(target, config.cap))
        norm = torch.linalg.vector_norm(features.detach(), dim=1).mean()
        return LossTerms(
            (
                cross_entropy_term(student, labels, config.ce_weight),
                LossTerm("fn", config.weight, soft_cross_entropy(logits, taught)),
                LossTerm("feature_norm", 0.0, norm),
            )
        )


def cap_norm(
    features: Float[Tensor, "batch channels"], cap: float
) -> Float[Tensor, "batch channels"]:
    """Compute ``f * min(|f|, cap) / sqrt(|f|^2 + 1e-10)``, row by row.

    Args:
        features: f; above the cap no gradient reaches its norm.
        cap: Largest norm.
    """
    features = full_precision(features)
    squared = features.square().sum(dim=1, keepdim=True)
    length: Tensor = torch.linalg.vector_norm(features, dim=1, keepdim=True)
    return features * length.clamp(max=cap) / (squared + 1e-10).sqrt()


def soft_cross_entropy(
    student_logits: Float[Tensor, "batch classes"], teacher_logits: Float[Tensor, "batch classes"]
) -> Float[Tensor, ""]:
    """Compute ``-sum softmax(z_t) * log softmax(z_s)``, averaged over the batch.

    Args:
        student_logits: z_s.
        teacher_logits: z_t; no gradient flows to them.
    """
    target = full_precision(teacher_logits.detach()).softmax(dim=1)
    return F.cross_entropy(full_precision(student_logits), target)


def _pick_student_classifier(classifier: Value | None) -> Value:
    if classifier is None:
        raise ModelError("fn: the student gives no classifier; expected one that is linear")
    return classifier
