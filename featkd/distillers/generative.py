"""Generative-based knowledge distillation: the paper's method."""

from typing import Literal

import torch
from jaxtyping import Float, Int
from pydantic import NonNegativeFloat, NonNegativeInt, PositiveInt
from torch import Tensor
from torch.nn import functional as F

from featkd.distillers.align import Aligner, pool_to_common_size, require_alignable
from featkd.distillers.base import (
    CROSS_ENTROPY,
    Distiller,
    DistillerConfig,
    LossTerm,
    LossTerms,
)
from featkd.distillers.frozen import frozen
from featkd.distillers.requirements import (
    Requirements,
    pick_attention,
    pick_module,
    pick_student_attention,
    pick_student_layer,
    pick_tap,
)
from featkd.distillers.shapes import Shapes
from featkd.errors import ModelError
from featkd.representation import (
    CVAE,
    cross_entropy,
    cvae_loss,
    double_softmax_cross_entropy,
    full_precision,
)
from featkd.types import StudentOutput, TapSpec, TeacherSignal


class GenerativeConfig(DistillerConfig):
    """Settings of generative-based distillation; the defaults are the paper's.

    A part of weight 0 is left out, with all that it needs. Without ``attention_weight`` and
    ``kd_gen_weight`` no teacher is needed; without ``recon_weight`` the student has no use for a
    CVAE, and none is trained. With all three at 0 the student alone has an attention head.
    """

    aliases = ("genkd", "generative_kd", "ours")

    kind: Literal["generative"] = "generative"
    layer: str = "Mixed_5c"
    recon_weight: NonNegativeFloat = 0.5
    """Weight of the reconstruction loss of the student after the ramp."""
    ramp_epochs: NonNegativeInt = 20
    """Epochs over which that weight grows linearly; 0 means no ramp."""
    recon_target: Literal["detached", "attached"] = "detached"
    """Whether gradient flows to the features that are to be reconstructed; released: attached."""
    attention_weight: NonNegativeFloat = 0.1
    """Gamma, the weight of attention distillation."""
    kd_gen_weight: NonNegativeFloat = 0.01
    """Beta, the weight of generative distillation."""
    kd_gen_inputs: Literal["student", "own"] = "student"
    """What the teacher's CVAE gets: the student's features and attention, or its own (Eq. 4)."""
    kl_weight: NonNegativeFloat = 0.1
    cvae_hidden: PositiveInt | None = None
    """Width inside the student's CVAE; None means the channels of the layer."""
    shared_noise: bool = True
    """Whether both CVAEs get the same noise; with own draws the loss has a floor. Released: no."""
    classifier_loss: Literal["ce", "released"] = "ce"
    alternation: Literal["step", "epoch"] = "step"
    """For the training loop: both phases in every step, or one pass of each in every epoch."""

    @property
    def tap(self) -> TapSpec:
        """The teacher's full map, used with ``kd_gen_inputs: own``."""
        return TapSpec(self.layer, "full")

    @property
    def is_taught_to_generate(self) -> bool:
        """Whether the student has a CVAE that learns from the teacher's."""
        return self.recon_weight > 0 and self.kd_gen_weight > 0

    @property
    def requires(self) -> Requirements:
        """What the terms of non-zero weight need."""
        generates = self.is_taught_to_generate
        own = generates and self.kd_gen_inputs == "own"
        return Requirements(
            taps=(self.tap,) if own else (),
            attention_layers=(self.layer,) if own or self.attention_weight > 0 else (),
            modules=("cvae",) if generates else (),
            student_layers=(self.layer,),
            student_attention=True,
            student_frame_logits=self.classifier_loss == "released",
        )


class Generative(Distiller[GenerativeConfig]):
    """Two phases: the student's CVAE learns, then the student learns with the CVAE frozen.

    Generative-based KD (AAAI 2024): generative distillation (Eq. 4) trains the CVAE, attention
    distillation and reconstruction (Eq. 12-15) the student.

    Attributes:
        config: The settings.
        modules: Trained with the student: the attention's projector where channels differ.
        generator: The student's CVAE. It has its own optimiser and belongs into the checkpoint.
            None without reconstruction.
        noise: Source of all noise; its state belongs into the checkpoint. It starts from torch's
            initial seed.
    """

    def __init__(self, config: GenerativeConfig, shapes: Shapes) -> None:
        """Build the distiller and the student's CVAE.

        Raises:
            ModelError: The student lacks the layer or an attention head, or shapes cannot be
                aligned; names both.
            RequirementError: The signal lacks something.
        """
        features = pick_student_layer(shapes.student_features, config.layer)
        attention = pick_student_attention(shapes.student_attention)
        if attention != features[:2]:
            raise ModelError(
                f"generative: the student's attention has shape {attention} and its features of "
                f"layer {config.layer!r} {features}; expected the same channels and time steps"
            )
        super().__init__(config)
        if config.attention_weight > 0:
            target = pick_attention(shapes.teacher_attention, config.layer)
            self.modules["attention_aligner"] = Aligner("attention", attention, target)
        if config.is_taught_to_generate:
            _check_teacher_inputs(config, features, shapes)
        channels, _, height, width = features
        self.generator: CVAE | None = None
        if config.recon_weight > 0:
            self.generator = CVAE(channels, (height, width), config.cvae_hidden)
        self.noise = torch.Generator().manual_seed(torch.initial_seed())

    def __call__(
        self,
        student: StudentOutput,
        teacher: TeacherSignal,
        labels: Int[Tensor, " batch"],
        epoch: int,
    ) -> LossTerms:
        """Compute `student_terms`."""
        return self.student_terms(student, teacher, labels, epoch)

    def student_terms(
        self,
        student: StudentOutput,
        teacher: TeacherSignal,
        labels: Int[Tensor, " batch"],
        epoch: int,
        noise: Float[Tensor, "batch time channels"] | None = None,
    ) -> LossTerms:
        """Compute the student's loss: ``cross_entropy``, ``recon``, ``attention``.

        Gradient reaches the student, through the CVAE too, but never the CVAE's parameters.

        Args:
            student: With gradients.
            teacher: For the same views.
            labels: Class of each sample.
            epoch: Counted from 1.
            noise: Of the draw from the prior; None draws it.

        Raises:
            RequirementError: The signal lacks the attention.
            ModelError: The student lacks features, attention or frame logits.
        """
        features, attention = self._features_and_attention(student)
        terms = [LossTerm(CROSS_ENTROPY, 1.0, self._classifier_loss(student, labels))]
        if self.generator is not None:
            if noise is None:
                noise = CVAE.sample_noise(attention, self.noise)
            with frozen(self.generator):
                generated = self.generator.generate(attention, noise)
            target = features.detach() if self.config.recon_target == "detached" else features
            recon = F.mse_loss(full_precision(generated), target)
            terms.append(LossTerm("recon", self._recon_weight(epoch), recon))
        if self.config.attention_weight > 0:
            taught = full_precision(pick_attention(teacher.attention, self.config.layer).detach())
            aligned, target = self.modules["attention_aligner"](attention, taught)
            value = F.mse_loss(full_precision(aligned), target)
            terms.append(LossTerm("attention", self.config.attention_weight, value))
        return LossTerms(tuple(terms))

    def generator_terms(
        self,
        student: StudentOutput,
        teacher: TeacherSignal,
        student_noise: Float[Tensor, "batch time channels"] | None = None,
        teacher_noise: Float[Tensor, "batch teacher_time teacher_channels"] | None = None,
    ) -> LossTerms:
        """Compute the loss of the student's CVAE: ``cvae_recon``, ``cvae_kl``, ``kd_gen``.

        Gradient reaches the CVAE only; the student's output is cut off here.

        Args:
            student: With or without gradients.
            teacher: With the frozen CVAE.
            student_noise: Of the student's latent; None draws it.
            teacher_noise: Of the teacher's latent; None takes the student's where noise is shared
                and draws it otherwise.

        Raises:
            RequirementError: The signal lacks the CVAE or its inputs.
            ModelError: The student lacks features or attention, or has no CVAE.
        """
        if self.generator is None:
            raise ModelError("generative: the student has no CVAE, since recon_weight is 0")
        features, attention = self._features_and_attention(student)
        features, attention = features.detach(), attention.detach()
        if student_noise is None:
            student_noise = CVAE.sample_noise(attention, self.noise)
        made, posterior = self.generator.reconstruct(features, attention, student_noise)
        loss = cvae_loss(made, features, *posterior, attention, self.config.kl_weight)
        terms = [
            LossTerm("cvae_recon", 1.0, loss.reconstruction),
            LossTerm("cvae_kl", self.config.kl_weight, loss.kl),
        ]
        if self.config.kd_gen_weight > 0:
            if self.config.kd_gen_inputs == "own":
                features = full_precision(pick_tap(teacher.features, self.config.tap))
                attention = full_precision(pick_attention(teacher.attention, self.config.layer))
            if teacher_noise is None:
                teacher_noise = (
                    student_noise
                    if self.config.shared_noise
                    else CVAE.sample_noise(attention, self.noise)
                )
            with torch.no_grad():
                cvae = _pick_cvae(teacher)
                taught = cvae.reconstruct(features, attention, teacher_noise).features
            aligned, target = pool_to_common_size(
                full_precision(made), full_precision(taught), axes=3
            )
            terms.append(LossTerm("kd_gen", self.config.kd_gen_weight, F.mse_loss(aligned, target)))
        return LossTerms(tuple(terms))

    def _features_and_attention(self, student: StudentOutput) -> tuple[Tensor, Tensor]:
        features = pick_student_layer(student.features, self.config.layer)
        attention = pick_student_attention(student.attention)
        return full_precision(features), full_precision(attention)

    def _classifier_loss(self, student: StudentOutput, labels: Tensor) -> Tensor:
        if self.config.classifier_loss == "ce":
            return cross_entropy(student.logits, labels)
        if student.frame_logits is None:
            raise ModelError(
                "the student gives no frame logits; classifier_loss 'released' needs them, "
                "expected a student that keeps them or classifier_loss 'ce'"
            )
        return double_softmax_cross_entropy(student.frame_logits, labels)

    def _recon_weight(self, epoch: int) -> float:
        if self.config.ramp_epochs == 0:
            return self.config.recon_weight
        return min(epoch / self.config.ramp_epochs, 1.0) * self.config.recon_weight


def _pick_cvae(teacher: TeacherSignal) -> CVAE:
    module = pick_module(teacher.modules, "cvae")
    if not isinstance(module, CVAE):
        raise ModelError(f"teacher module 'cvae' is a {type(module).__name__}; expected a CVAE")
    return module


def _check_teacher_inputs(
    config: GenerativeConfig, student: tuple[int, ...], shapes: Shapes
) -> None:
    """Check that the teacher's CVAE can take what it will get, and its answer be compared."""
    inputs = student
    if config.kd_gen_inputs == "own":
        inputs = pick_tap(shapes.teacher_features, config.tap)
        require_alignable(f"generative, layer {config.layer!r}", student, inputs)
        # Channels of a reconstruction have no partner in another network unless they are as many.
        comparable = student[:2] == inputs[:2] if config.shared_noise else student[0] == inputs[0]
        if not comparable:
            raise ModelError(
                f"generative: kd_gen_inputs is 'own', the student's features have shape {student} "
                f"and the teacher's {inputs}; expected the same channels, and with shared_noise "
                "the same time steps"
            )
    if shapes.teacher_cvae is not None and shapes.teacher_cvae != (inputs[0], *inputs[2:]):
        raise ModelError(
            f"generative: the teacher's CVAE takes features of (C, H, W) {shapes.teacher_cvae} and "
            f"kd_gen_inputs {config.kd_gen_inputs!r} gives it (C, T, H, W) {inputs}; expected the "
            "same channels and size, or kd_gen_weight 0"
        )
