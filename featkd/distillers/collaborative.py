"""Collaborative teaching: an expert shows where to look, a teacher from scratch how to learn."""

from typing import Literal

import torch
from jaxtyping import Float, Int
from pydantic import NonNegativeFloat, model_validator
from torch import Tensor
from torch.nn import functional as F

from featkd.distillers.at import LayerPairs, attention_terms
from featkd.distillers.base import (
    Distiller,
    DistillerConfig,
    LossTerm,
    LossTerms,
    cross_entropy_term,
)
from featkd.distillers.requirements import Requirements, pick_trajectory
from featkd.distillers.shapes import Shapes
from featkd.errors import ModelError
from featkd.models import ModelSpec, VideoClassifier
from featkd.representation import cross_entropy, full_precision
from featkd.types import StudentOutput, TeacherSignal


class CollaborativeConfig(DistillerConfig, LayerPairs):
    """Settings of collaborative teaching.

    The published code leaves all weights at 0 and does not say which were used; these are those of
    its two sources, attention transfer and rocket launching.
    """

    aliases = ("collaborative_teaching", "ctkd_collaborative")

    kind: Literal["collaborative"] = "collaborative"
    scratch: ModelSpec = ModelSpec(name="i3d")
    """The teacher that is trained from random weights beside the student, on the same clips."""
    scratch_source: Literal["live", "trajectory"] = "live"
    """``live``: ``scratch`` is trained; ``trajectory``: the logits that the expert had in the same
    epoch of its own training take its place, and ``scratch`` is not built."""
    attention_of: Literal["student", "released"] = "student"
    """Who learns the expert's attention: the student (paper), or the scratch teacher (released)."""
    beta: NonNegativeFloat = 1000.0
    """Weight of attention transfer from the expert."""
    gamma: NonNegativeFloat = 0.03
    """Weight of the scratch teacher's hint."""
    ce_weight: NonNegativeFloat = 1.0

    @model_validator(mode="after")
    def _someone_learns_attention(self) -> "CollaborativeConfig":
        if self.scratch_source == "trajectory" and self.attention_of == "released":
            raise ValueError(
                "attention_of is 'released' and scratch_source 'trajectory'; expected 'student', "
                "since logits that are replayed have no maps to learn attention"
            )
        return self

    @property
    def requires(self) -> Requirements:
        """The expert's unnormalised spatial attention, its trajectory, the student's maps."""
        return Requirements(
            trajectory=self.scratch_source == "trajectory",
            taps=self.taps,
            student_layers=self.layers,
        )


class Collaborative(Distiller[CollaborativeConfig]):
    """``CE(z_s) + CE(z_a) + gamma * |z_a - z_s|^2 + beta * sum of attention transfer losses``.

    Highlight Every Step: Knowledge Distillation via Collaborative Teaching (Zhao et al., IEEE
    Transactions on Cybernetics 2020). z_a are the logits of the scratch teacher, a network in
    ``modules`` that learns from labels in the same steps and is left behind afterwards. The
    published code lets both share their first convolution; here they are two networks, which may
    differ in architecture. Since no gradient reaches z_a from the student, its logits can as well
    be replayed from a training that is over: ``CE(z_a)`` is left out then.
    """

    def __init__(self, config: CollaborativeConfig, shapes: Shapes) -> None:
        """Build the distiller and the scratch teacher, where it is trained.

        Raises:
            ModelError: The student lacks a layer, has other classes than the trajectory or does not
                show its clips, the scratch teacher lacks a layer, or shapes cannot be aligned.
            RequirementError: The signal lacks a tap or the trajectory.
        """
        super().__init__(config)
        attentive = shapes.student_features
        if config.scratch_source == "trajectory":
            _require_classes_of_trajectory(shapes)
        else:
            scratch = self.modules["scratch"] = _build_scratch(config, shapes)
            if config.attention_of == "released":
                attentive = scratch.layer_shapes
        config.require_alignable("collaborative", attentive, shapes)

    def __call__(
        self,
        student: StudentOutput,
        teacher: TeacherSignal,
        labels: Int[Tensor, " batch"],
        epoch: int,  # noqa: ARG002 (the contract passes it)
    ) -> LossTerms:
        """Compute `collaborative_terms`, or `replayed_terms` where logits are replayed."""
        if self.config.scratch_source == "trajectory":
            return replayed_terms(self.config, student, teacher, labels)
        if student.clips is None:
            raise ModelError("the student does not show the clips it was given")
        scratch: StudentOutput = self.modules["scratch"](student.clips)
        return collaborative_terms(self.config, student, scratch, teacher, labels)


def _build_scratch(config: CollaborativeConfig, shapes: Shapes) -> VideoClassifier:
    if shapes.student_clips is None:
        raise ModelError("collaborative: the student does not show the clips it was given")
    channels, time, height, width = shapes.student_clips
    return VideoClassifier(
        config.scratch,
        shapes.student_classes,
        (channels, time, height, width),
        layers=config.layers if config.attention_of == "released" else (),
    )


def _require_classes_of_trajectory(shapes: Shapes) -> None:
    num_classes = pick_trajectory(shapes.teacher_trajectory)
    if num_classes != shapes.student_classes:
        raise ModelError(
            f"collaborative: the student's logits have shape ({shapes.student_classes},) and those "
            f"of the trajectory ({num_classes},); expected the same classes"
        )


def collaborative_terms(
    config: CollaborativeConfig,
    student: StudentOutput,
    scratch: StudentOutput,
    teacher: TeacherSignal,
    labels: Int[Tensor, " batch"],
) -> LossTerms:
    """Compute ``cross_entropy``, ``scratch``, ``hint`` and one ``at.<layer>`` a layer.

    Args:
        config: Weights, layers, and who learns attention.
        student: With gradients.
        scratch: What the scratch teacher computed from the same clips, with gradients.
        teacher: The expert, for the same views.
        labels: Class of each sample.

    Raises:
        RequirementError: The signal lacks a tap.
        ModelError: Who learns attention lacks a layer.
    """
    attentive = student if config.attention_of == "student" else scratch
    return LossTerms(
        (
            cross_entropy_term(student, labels, config.ce_weight),
            LossTerm("scratch", 1.0, cross_entropy(scratch.logits, labels)),
            LossTerm("hint", config.gamma, hint_loss(student.logits, scratch.logits)),
            *attention_terms(config, attentive.features, teacher, config.beta),
        )
    )


def replayed_terms(
    config: CollaborativeConfig,
    student: StudentOutput,
    teacher: TeacherSignal,
    labels: Int[Tensor, " batch"],
) -> LossTerms:
    """Compute ``cross_entropy``, ``hint`` and one ``at.<layer>`` a layer.

    A clip that the teacher did not learn from in that epoch adds nothing to ``hint``, which is
    divided by the size of the batch all the same.

    Args:
        config: Weights and layers.
        student: With gradients.
        teacher: The expert, for the same views, with its trajectory.
        labels: Class of each sample.

    Raises:
        RequirementError: The signal lacks the trajectory or a tap.
        ModelError: The student lacks a layer.
    """
    trajectory = pick_trajectory(teacher.trajectory)
    # Where there is nothing to follow, the student follows itself: no loss, no gradient.
    target = torch.where(trajectory.isnan(), student.logits.detach(), trajectory)
    return LossTerms(
        (
            cross_entropy_term(student, labels, config.ce_weight),
            LossTerm("hint", config.gamma, hint_loss(student.logits, target)),
            *attention_terms(config, student.features, teacher, config.beta),
        )
    )


def hint_loss(
    student_logits: Float[Tensor, "batch classes"], scratch_logits: Float[Tensor, "batch classes"]
) -> Float[Tensor, ""]:
    """Compute ``sum (z_a - z_s)^2 / B``; no gradient flows to z_a.

    Rocket Launching (Zhou et al., AAAI 2018), Eq. 3.
    """
    target = full_precision(scratch_logits.detach())
    return F.mse_loss(full_precision(student_logits), target, reduction="sum") / len(target)
