"""Wasserstein distillation of logits: confusing related classes costs less than unrelated ones."""

from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
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
from featkd.distillers.requirements import Requirements, pick_classifier, pick_logits
from featkd.distillers.shapes import Shapes
from featkd.errors import ModelError
from featkd.representation import full_precision
from featkd.types import StudentOutput, TeacherSignal


class WKDLogitConfig(DistillerConfig):
    """Settings of Wasserstein distillation of logits."""

    aliases = ("wkd_l", "wasserstein_logit")

    kind: Literal["wkd_logit"] = "wkd_logit"
    tau: PositiveFloat = 2.0
    """Temperature of the classes other than the target; the target has none."""
    gamma: NonNegativeFloat = 30.0
    """Weight of the transport between the other classes. The authors' range over 30 to 600."""
    target_weight: NonNegativeFloat = 1.0
    """Weight of the target class."""
    ce_weight: NonNegativeFloat = 1.0
    sharpening: PositiveFloat = 1.0
    """How fast the cost of transport saturates as classes become less similar."""
    entropy_weight: PositiveFloat = 0.05
    """Weight of the flow's entropy; smaller is closer to the true distance, and slower to get."""
    num_iterations: PositiveInt = 10
    """Sinkhorn iterations. Gradient flows through all of them."""

    @property
    def requires(self) -> Requirements:
        """The teacher's logits and its classifier, whose weights say which classes are related."""
        return Requirements(logits=True, classifier=True)


class WKDLogit(Distiller[WKDLogitConfig]):
    """``ce_weight * CE + target_weight * target + gamma * transport``.

    Wasserstein Distance Rivals Kullback-Leibler Divergence for Knowledge Distillation (Lv et al.,
    NeurIPS 2024), WKD-L with the target separated, as the authors' code computes it.
    """

    def __init__(self, config: WKDLogitConfig, shapes: Shapes) -> None:
        """Build the distiller.

        Raises:
            ModelError: The student, the teacher and its classifier have different numbers of
                classes.
            RequirementError: The signal lacks the classifier.
        """
        super().__init__(config)
        shapes.require_same_classes("wkd_logit")
        classifier = pick_classifier(shapes.teacher_classifier)
        if classifier[0] != shapes.student_classes:
            raise ModelError(
                f"wkd_logit: the student's logits have shape ({shapes.student_classes},) and the "
                f"teacher's classifier {classifier}; expected the same classes"
            )

    def __call__(
        self,
        student: StudentOutput,
        teacher: TeacherSignal,
        labels: Int[Tensor, " batch"],
        epoch: int,  # noqa: ARG002 (the contract passes it)
    ) -> LossTerms:
        """Compute ``cross_entropy``, ``wkd_target`` and ``wkd_transport``."""
        config, target = self.config, pick_logits(teacher.logits)
        cost = class_cost(pick_classifier(teacher.classifier).weight, config.sharpening)
        transport = transport_loss(
            student.logits,
            target,
            labels,
            cost,
            tau=config.tau,
            entropy_weight=config.entropy_weight,
            num_iterations=config.num_iterations,
        )
        separated = target_loss(student.logits, target, labels)
        return LossTerms(
            (
                cross_entropy_term(student, labels, config.ce_weight),
                LossTerm("wkd_target", config.target_weight, separated),
                LossTerm("wkd_transport", config.gamma, transport),
            )
        )


def class_cost(
    prototypes: Float[Tensor, "classes channels"], sharpening: float
) -> Float[Tensor, "classes classes"]:
    """Compute ``1 - exp(-sharpening * (1 - cosine))`` between the prototypes of classes.

    Args:
        prototypes: A vector for each class, here its row in the teacher's last layer; no gradient
            flows to them.
        sharpening: Larger values bring unrelated classes closer to the cost of 1.
    """
    directions = F.normalize(full_precision(prototypes.detach()), dim=1)
    # Rounding can take the cosine of a class with itself past 1.
    distance = (1 - directions @ directions.T).clamp(min=0)
    return 1 - torch.exp(-sharpening * distance)


def target_loss(
    student_logits: Float[Tensor, "batch classes"],
    teacher_logits: Float[Tensor, "batch classes"],
    labels: Int[Tensor, " batch"],
) -> Float[Tensor, ""]:
    """Compute ``-p_t[y] * log p_s[y]``, averaged over the batch.

    Args:
        student_logits: z_s.
        teacher_logits: z_t; no gradient flows to them.
        labels: y.
    """
    target = full_precision(teacher_logits.detach()).softmax(dim=1).gather(1, labels[:, None])
    log_probability = full_precision(student_logits).log_softmax(dim=1).gather(1, labels[:, None])
    return -(target * log_probability).mean()


def transport_loss(
    student_logits: Float[Tensor, "batch classes"],
    teacher_logits: Float[Tensor, "batch classes"],
    labels: Int[Tensor, " batch"],
    cost: Float[Tensor, "classes classes"],
    *,
    tau: float,
    entropy_weight: float,
    num_iterations: int,
) -> Float[Tensor, ""]:
    """Compute the cost of moving p_s to p_t over all classes but the target, batch mean.

    Args:
        student_logits: z_s.
        teacher_logits: z_t; no gradient flows to them.
        labels: Target class of each sample, which takes no part.
        cost: Of moving a unit of probability from one class to another.
        tau: Temperature.
        entropy_weight: As in `sinkhorn_cost`.
        num_iterations: As in `sinkhorn_cost`.
    """
    is_target = F.one_hot(labels, student_logits.shape[1]).bool()

    def others(logits: Tensor) -> Tensor:
        return (full_precision(logits) / tau).masked_fill(is_target, -torch.inf).softmax(dim=1)

    source, sink = others(student_logits), others(teacher_logits.detach())
    costs = sinkhorn_cost(
        source, sink, ~is_target, cost.to(source.dtype), entropy_weight, num_iterations
    )
    return costs.mean()


def sinkhorn_cost(
    source: Float[Tensor, "batch classes"],
    sink: Float[Tensor, "batch classes"],
    support: Bool[Tensor, "batch classes"],
    cost: Float[Tensor, "classes classes"],
    entropy_weight: float,
    num_iterations: int,
) -> Float[Tensor, " batch"]:
    """Compute the cost of the entropic flow from one distribution to another, row by row.

    Sinkhorn Distances (Cuturi, NeurIPS 2013), Algorithm 1, with 1e-8 added to both denominators.
    A class outside the support has probability 0 on both sides and no flow, which makes one kernel
    serve all rows.

    Args:
        source: Rows sum to 1.
        sink: Rows sum to 1.
        support: Where either may be above 0.
        cost: From row to column.
        entropy_weight: The kernel is ``exp(-cost / entropy_weight)``.
        num_iterations: Scalings of each side; the last one is of the source.
    """
    kernel = torch.exp(-cost / entropy_weight)
    source_scale = support / support.sum(dim=1, keepdim=True).to(source.dtype)
    for _ in range(num_iterations):
        sink_scale = sink / (source_scale @ kernel + 1e-8)
        source_scale = source / (sink_scale @ kernel.T + 1e-8)
    return (source_scale @ (kernel * cost) * sink_scale).sum(dim=1)
