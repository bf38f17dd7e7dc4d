"""Generative-based knowledge distillation for detection: the paper's method on two maps."""

from collections.abc import Mapping
from typing import Literal, cast

import torch
from jaxtyping import Float
from pydantic import NonNegativeFloat, NonNegativeInt, PositiveInt
from torch import Tensor, nn
from torch.nn import functional as F

from featkd.detection.afsd.detector import DETECTOR_LAYERS
from featkd.detection.afsd.losses import DetectionLossSpec, background_loss
from featkd.detection.afsd.output import DetectorOutput
from featkd.detection.distillation.base import (
    DetectionDistiller,
    DetectionTargets,
    supervised_terms,
)
from featkd.detection.distillation.signal import DetectionSignal
from featkd.distillers import Aligner, LossTerm, LossTerms, Requirements
from featkd.distillers.frozen import frozen
from featkd.errors import ModelError
from featkd.representation import CVAE, cvae_loss, full_precision
from featkd.types import Spec

Noise = Mapping[str, Float[Tensor, "batch _time _channels"]]
"""Layer to the noise of its CVAE."""


class DetectionGenerativeSpec(Spec):
    """Settings of generative-based distillation for detection; the defaults are the paper's.

    A part of weight 0 is left out, with all that it needs. With ``attention_weight`` and
    ``kd_gen_weight`` at 0 no teacher is needed: a teacher's own attention heads and CVAEs are
    trained like that.
    """

    kind: Literal["generative"] = "generative"
    recon_weight: NonNegativeFloat = 0.5
    """Weight of the reconstruction of each layer after the ramp."""
    ramp_epochs: NonNegativeInt = 20
    """Epochs over which that weight grows linearly; 0 means no ramp."""
    attention_weight: NonNegativeFloat = 0.1
    """Gamma, the weight of attention distillation on each layer. Released: 10."""
    kd_gen_weight: NonNegativeFloat = 0.01
    """Beta, the weight of generative distillation on each layer."""
    kl_weight: NonNegativeFloat = 0.1
    cvae_hidden: PositiveInt | None = None
    """Width inside the CVAEs; None means the channels of each layer."""
    shared_noise: bool = True
    """Whether both CVAEs get the same noise; with own draws the loss has a floor. Released: no."""
    background_weight: NonNegativeFloat = 0.0
    """Of the background loss on what attention leaves out. Released: 35."""
    alternation: Literal["step", "epoch"] = "step"
    """For the training loop: both phases in every step, or one pass of each in every epoch."""

    @property
    def requires(self) -> Requirements:
        """The teacher's attention and CVAEs of both maps, as far as their terms count."""
        learns_generator = self.recon_weight > 0 and self.kd_gen_weight > 0
        return Requirements(
            attention_layers=DETECTOR_LAYERS if self.attention_weight > 0 else (),
            modules=("cvaes",) if learns_generator else (),
            student_attention=True,
        )


RELEASED_GENERATIVE = DetectionGenerativeSpec(
    attention_weight=10.0, background_weight=35.0, shared_noise=False, alternation="epoch"
)
"""The published code's settings."""


class DetectionGenerative(DetectionDistiller):
    """Two phases: the student's CVAEs learn, then the student learns with the CVAEs frozen.

    Generative-based KD (AAAI 2024): generative distillation (Eq. 4) trains a CVAE for each map the
    detector reads; attention distillation and reconstruction (Eq. 12-15) train the student.

    Attributes:
        generators: the student's CVAEs by layer, empty without reconstruction. They have their own
            optimiser and belong into the checkpoint.
        noise: source of all noise; its state belongs into the checkpoint. It starts from torch's
            initial seed.
    """

    def __init__(
        self,
        spec: DetectionGenerativeSpec,
        losses: DetectionLossSpec,
        shapes: Mapping[str, tuple[int, int, int, int]],
        teacher_attention: Mapping[str, tuple[int, int]],
    ) -> None:
        """Build the distiller and the student's CVAEs.

        Args:
            spec: settings.
            losses: weights of the terms that learn from annotations.
            shapes: layer to (C, T, H, W) of the student's maps.
            teacher_attention: layer to (C, T) of the teacher's attention; may be empty where
                ``attention_weight`` is 0.

        Raises:
            ModelError: attention cannot be aligned; names both shapes.
        """
        super().__init__(losses)
        self.spec = spec
        self.layers = tuple(shapes)
        if spec.attention_weight > 0:
            for layer, (channels, time, _, _) in shapes.items():
                if layer not in teacher_attention:
                    raise ModelError(
                        f"generative: the teacher has no attention of layer {layer!r}; expected "
                        "some, or attention_weight 0"
                    )
                self.modules[layer] = Aligner(
                    f"attention of layer {layer!r}", (channels, time), teacher_attention[layer]
                )
        self.generators = nn.ModuleDict()
        if spec.recon_weight > 0:
            self.generators = build_cvaes(shapes, spec.cvae_hidden)
        self.noise = torch.Generator().manual_seed(torch.initial_seed())

    def __call__(
        self,
        student: DetectorOutput,
        teacher: DetectionSignal,
        targets: DetectionTargets,
        epoch: int,
    ) -> LossTerms:
        """Compute `student_terms`."""
        return self.student_terms(student, teacher, targets, epoch)

    def student_terms(
        self,
        student: DetectorOutput,
        teacher: DetectionSignal,
        targets: DetectionTargets,
        epoch: int,
        noise: Noise | None = None,
    ) -> LossTerms:
        """Compute the student's loss.

        Terms: `supervised_terms`, ``background``, and for each layer ``recon_<layer>``,
        ``attention_<layer>`` and, of rearranged clips, ``rearranged_attention_<layer>``. Gradient
        reaches the student, through the CVAEs too, but never the CVAEs' parameters.

        Args:
            student: with gradients.
            teacher: for the same clips.
            targets: for the same clips.
            epoch: counted from 1.
            noise: of the draws from the prior; None draws it.

        Raises:
            RequirementError: the signal lacks the attention.
            ModelError: the student lacks attention or background logits.
        """
        terms = list(supervised_terms(student, targets, self.losses))
        if self.spec.background_weight > 0:
            if student.background_logits is None:
                raise ModelError(
                    "generative: the student gives no background logits; build it with_background, "
                    "or set background_weight to 0"
                )
            value = background_loss(student.background_logits)
            terms.append(LossTerm("background", self.spec.background_weight, value))
        for layer in self.layers:
            feature, attention = self._pick(student, layer)
            if layer in self.generators:
                value = self._reconstruct(layer, feature, attention, noise)
                terms.append(LossTerm(f"recon_{layer}", self._recon_weight(epoch), value))
            if self.spec.attention_weight > 0:
                value = self._attention_loss(layer, attention, teacher.layer_attention(layer))
                terms.append(LossTerm(f"attention_{layer}", self.spec.attention_weight, value))
                terms += self._rearranged_terms(layer, targets)
        return LossTerms(tuple(terms))

    def generator_terms(
        self,
        student: DetectorOutput,
        teacher: DetectionSignal,
        student_noise: Noise | None = None,
        teacher_noise: Noise | None = None,
    ) -> LossTerms:
        """Compute the loss of the student's CVAEs.

        Terms for each layer: ``cvae_recon_<layer>``, ``cvae_kl_<layer>``, ``kd_gen_<layer>``. Both
        CVAEs get the student's map and attention. Gradient reaches the student's CVAEs only.

        Args:
            student: with or without gradients; it is cut off here.
            teacher: with the frozen CVAEs.
            student_noise: of the student's latents; None draws it.
            teacher_noise: of the teacher's latents; None takes the student's where noise is shared
                and draws it otherwise.

        Raises:
            RequirementError: the signal lacks a CVAE.
            ModelError: the student lacks attention, or has no CVAEs, or the teacher's CVAE takes
                other maps.
        """
        if not self.generators:
            raise ModelError("generative: the student has no CVAEs, since recon_weight is 0")
        terms: list[LossTerm] = []
        for layer in self.layers:
            feature, attention = (value.detach() for value in self._pick(student, layer))
            own_noise = self._noise_of(student_noise, layer, attention)
            made, posterior = self._generator(layer).reconstruct(feature, attention, own_noise)
            loss = cvae_loss(made, feature, *posterior, attention, self.spec.kl_weight)
            terms.append(LossTerm(f"cvae_recon_{layer}", 1.0, loss.reconstruction))
            terms.append(LossTerm(f"cvae_kl_{layer}", self.spec.kl_weight, loss.kl))
            if self.spec.kd_gen_weight > 0:
                shared = self.spec.shared_noise and teacher_noise is None
                other = own_noise if shared else self._noise_of(teacher_noise, layer, attention)
                taught = _teach(teacher.cvae(layer), layer, feature, attention, other)
                value = F.mse_loss(full_precision(made), full_precision(taught))
                terms.append(LossTerm(f"kd_gen_{layer}", self.spec.kd_gen_weight, value))
        return LossTerms(tuple(terms))

    def _pick(self, student: DetectorOutput, layer: str) -> tuple[Tensor, Tensor]:
        if layer not in student.attention:
            raise ModelError(
                f"generative: the student gives no attention of layer {layer!r}; build it with an "
                "attention head"
            )
        return full_precision(student.features[layer]), full_precision(student.attention[layer])

    def _generator(self, layer: str) -> CVAE:
        return cast("CVAE", self.generators[layer])

    def _reconstruct(
        self, layer: str, feature: Tensor, attention: Tensor, noise: Noise | None
    ) -> Tensor:
        generator = self._generator(layer)
        with frozen(generator):
            made = generator.generate(attention, self._noise_of(noise, layer, attention))
        return F.mse_loss(full_precision(made), feature.detach())

    def _attention_loss(self, layer: str, own: Tensor, taught: Tensor) -> Tensor:
        aligned, target = self.modules[layer](full_precision(own), full_precision(taught.detach()))
        return F.mse_loss(full_precision(aligned), target)

    def _rearranged_terms(self, layer: str, targets: DetectionTargets) -> list[LossTerm]:
        rearranged = targets.rearranged
        if rearranged is None or layer not in rearranged.teacher_attention:
            return []
        value = self._attention_loss(
            layer, rearranged.attention[layer], rearranged.teacher_attention[layer]
        )
        return [LossTerm(f"rearranged_attention_{layer}", self.spec.attention_weight, value)]

    def _noise_of(self, noise: Noise | None, layer: str, attention: Tensor) -> Tensor:
        return CVAE.sample_noise(attention, self.noise) if noise is None else noise[layer]

    def _recon_weight(self, epoch: int) -> float:
        if self.spec.ramp_epochs == 0:
            return self.spec.recon_weight
        return min(epoch / self.spec.ramp_epochs, 1.0) * self.spec.recon_weight


def build_cvaes(
    shapes: Mapping[str, tuple[int, int, int, int]], hidden: int | None
) -> nn.ModuleDict:
    """A CVAE for each map a detector reads, by layer.

    Args:
        shapes: layer to (C, T, H, W).
        hidden: width inside; None means the channels of each layer.
    """
    return nn.ModuleDict(
        {
            layer: CVAE(channels, (height, width), hidden)
            for layer, (channels, _, height, width) in shapes.items()
        }
    )


@torch.no_grad()
def _teach(cvae: CVAE, layer: str, feature: Tensor, attention: Tensor, noise: Tensor) -> Tensor:
    takes, gets = (cvae.channels, *cvae.spatial_size), (feature.shape[1], *feature.shape[3:])
    if takes != gets:
        raise ModelError(
            f"generative: the teacher's CVAE of layer {layer!r} takes maps of (C, H, W) {takes} "
            f"and the student's are {gets}; expected the same, or kd_gen_weight 0"
        )
    return cvae.reconstruct(feature, attention, noise).features
