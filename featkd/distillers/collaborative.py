"""Collaborative teaching: an expert shows where to look, a teacher from scratch how to learn."""

from typing import Literal

from jaxtyping import Float, Int
from pydantic import NonNegativeFloat
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
from featkd.distillers.requirements import Requirements
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
    attention_of: Literal["student", "released"] = "student"
    """Who learns the expert's attention: the student (paper), or the scratch teacher (released)."""
    beta: NonNegativeFloat = 1000.0
    """Weight of attention transfer from the expert."""
    gamma: NonNegativeFloat = 0.03
    """Weight of the scratch teacher's hint."""
    ce_weight: NonNegativeFloat = 1.0

    @property
    def requires(self) -> Requirements:
        """The expert's unnormalised spatial attention and the student's maps."""
        return Requirements(taps=self.taps, student_layers=self.layers)


class Collaborative(Distiller[CollaborativeConfig]):
    """``CE(z_s) + CE(z_a) + gamma * |z_a - z_s|^2 + beta * sum of attention transfer losses``.

    Highlight Every Step: Knowledge Distillation via Collaborative Teaching (Zhao et al., IEEE
    Transactions on Cybernetics 2020). z_a are the logits of the scratch teacher, a network in
    ``modules`` that learns from labels in the same steps and is left behind afterwards. The
    published code lets both share their first convolution; here they are two networks, which may
    differ in architecture.
    """

    def __init__(self, config: CollaborativeConfig, shapes: Shapes) -> None:
        """Build the distiller and the scratch teacher.

        Raises:
            ModelError: The student lacks a layer or does not show its clips, the scratch teacher
                lacks a layer, or shapes cannot be aligned.
            RequirementError: The signal lacks a tap.
        """
        super().__init__(config)
        if shapes.student_clips is None:
            raise ModelError("collaborative: the student does not show the clips it was given")
        channels, time, height, width = shapes.student_clips
        scratch = VideoClassifier(
            config.scratch,
            shapes.student_classes,
            (channels, time, height, width),
            layers=config.layers if config.attention_of == "released" else (),
        )
        self.modules["scratch"] = scratch
        attentive = scratch.layer_shapes if config.attention_of == "released" else None
        config.require_alignable("collaborative", attentive or shapes.student_features, shapes)

    def __call__(
        self,
        student: StudentOutput,
        teacher: TeacherSignal,
        labels: Int[Tensor, " batch"],
        epoch: int,  # noqa: ARG002 (the contract passes it)
    ) -> LossTerms:
        """Run the scratch teacher and compute `collaborative_terms`."""
        if student.clips is None:
            raise ModelError("the student does not show the clips it was given")
        scratch: StudentOutput = self.modules["scratch"](student.clips)
        return collaborative_terms(self.config, student, scratch, teacher, labels)


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


def hint_loss(
    student_logits: Float[Tensor, "batch classes"], scratch_logits: Float[Tensor, "batch classes"]
) -> Float[Tensor, ""]:
    """Compute ``sum (z_a - z_s)^2 / B``; no gradient flows to z_a.

    Rocket Launching (Zhou et al., AAAI 2018), Eq. 3.
    """
    target = full_precision(scratch_logits.detach())
    return F.mse_loss(full_precision(student_logits), target, reduction="sum") / len(target)
