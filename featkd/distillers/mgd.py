"""Masked generative distillation: the teacher's map is generated from parts of the student's."""

from typing import Annotated, Literal

import torch
from jaxtyping import Bool, Float, Int
from pydantic import Field, NonNegativeFloat
from torch import Tensor, nn
from torch.nn import functional as F

from featkd.distillers.align import Aligner
from featkd.distillers.base import Distiller, LossTerm, LossTerms, cross_entropy_term
from featkd.distillers.layer import LayerConfig, student_map, teacher_target
from featkd.distillers.requirements import Requirements, pick_student_layer, pick_tap
from featkd.distillers.shapes import Shapes
from featkd.representation import full_precision
from featkd.types import StudentOutput, TapSpec, TeacherSignal

Mask = Literal["channel", "position", "tube"]


class MGDConfig(LayerConfig):
    """Settings of masked generative distillation.

    The authors' code adds squared errors up over a map and weighs them with 7e-5, which on their
    maps of 512x7x7 is a mean with weight 1.76: the default here, whatever the size of the maps.
    ``reduction: sum`` with ``weight: 7e-5`` is the original.
    """

    aliases = ("masked_generative",)

    kind: Literal["mgd"] = "mgd"
    mask: Mask = "channel"
    """What is dropped at random, anew for every sample and step: whole channels, as the authors
    classify; positions in T, H, W; or tubes, positions in H, W at all times."""
    mask_ratio: Annotated[float, Field(ge=0, le=1)] = 0.15
    """Lambda, the share that is dropped. Original: 0.15 of channels, 0.45 to 0.75 of positions."""
    temporal_kernel: Literal[1, 3] = 1
    """Extent in time of the generation's convolutions; 1 looks at every time step by itself."""
    reduction: Literal["mean", "sum"] = "mean"
    """Whether squared errors are averaged over C, T, H, W, or added up."""
    weight: NonNegativeFloat = 1.76
    """Alpha, the weight of the generation beside the cross entropy."""
    ce_weight: NonNegativeFloat = 1.0

    @property
    def tap(self) -> TapSpec:
        """The map to generate."""
        return self.tap_of("full")

    @property
    def requires(self) -> Requirements:
        """The teacher's full map and the student's."""
        return Requirements(taps=(self.tap,), student_layers=(self.layer,))


class MGD(Distiller[MGDConfig]):
    """``CE + weight * |G(mask * align(F_s)) - F_t|^2`` with a generation G that is trained along.

    Masked Generative Distillation (Yang et al., ECCV 2022), Eq. 2-5, for maps with time. What is
    left of a map is not scaled up.
    """

    def __init__(self, config: MGDConfig, shapes: Shapes) -> None:
        """Build the distiller: alignment where channels differ, and two convolutions.

        Raises:
            ModelError: The student lacks the layer, or shapes cannot be aligned.
            RequirementError: The signal lacks the tap.
        """
        super().__init__(config)
        target = pick_tap(shapes.teacher_features, config.tap)
        self.modules["aligner"] = Aligner(
            f"mgd, layer {config.layer!r}",
            pick_student_layer(shapes.student_features, config.layer),
            target,
        )
        channels, kernel = target[0], (config.temporal_kernel, 3, 3)
        self.modules["generation"] = nn.Sequential(
            nn.Conv3d(channels, channels, kernel, padding="same"),
            nn.ReLU(inplace=True),
            nn.Conv3d(channels, channels, kernel, padding="same"),
        )

    def __call__(
        self,
        student: StudentOutput,
        teacher: TeacherSignal,
        labels: Int[Tensor, " batch"],
        epoch: int,  # noqa: ARG002 (the contract passes it)
    ) -> LossTerms:
        """Compute `terms` with a mask drawn from torch's generator."""
        return self.terms(student, teacher, labels)

    def terms(
        self,
        student: StudentOutput,
        teacher: TeacherSignal,
        labels: Int[Tensor, " batch"],
        uniform: Float[Tensor, "batch _channels _time _height _width"] | None = None,
    ) -> LossTerms:
        """Compute ``cross_entropy`` and ``mgd``.

        Args:
            student: With gradients.
            teacher: For the same views.
            labels: Class of each sample.
            uniform: Numbers in [0, 1) that masks are made from, of the shape that `mask_shape`
                gives; None draws them.

        Raises:
            RequirementError: The signal lacks the tap.
            ModelError: The student lacks the layer.
        """
        config = self.config
        features, target = self.modules["aligner"](
            student_map(student.features, config.layer),
            teacher_target(teacher.features, config.tap),
        )
        if uniform is None:
            uniform = torch.rand(mask_shape(features.shape, config.mask), device=features.device)
        kept = keep(uniform, config.mask, config.mask_ratio)
        generated = self.modules["generation"](features * kept)
        loss = generation_loss if config.reduction == "sum" else F.mse_loss
        return LossTerms(
            (
                cross_entropy_term(student, labels, config.ce_weight),
                LossTerm("mgd", config.weight, loss(generated, target)),
            )
        )


def mask_shape(features: torch.Size, mask: Mask) -> tuple[int, ...]:
    """Shape of a mask for maps (B, C, T, H, W): 1 along the axes that it treats alike."""
    batch, channels, time, height, width = features
    return {
        "channel": (batch, channels, 1, 1, 1),
        "position": (batch, 1, time, height, width),
        "tube": (batch, 1, 1, height, width),
    }[mask]


def keep(
    uniform: Float[Tensor, "batch channels time height width"], mask: Mask, ratio: float
) -> Bool[Tensor, "batch channels time height width"]:
    """Tell what a mask keeps.

    As in the authors' code channels are dropped where ``u < ratio`` and positions where
    ``u > 1 - ratio``.

    Args:
        uniform: u, uniform in [0, 1).
        mask: What is dropped.
        ratio: The share that is dropped.
    """
    return uniform >= ratio if mask == "channel" else uniform <= 1 - ratio


def generation_loss(
    generated: Float[Tensor, "batch channels time height width"],
    teacher: Float[Tensor, "batch channels time height width"],
) -> Float[Tensor, ""]:
    """Compute ``sum (G - F_t)^2 / B``: the errors of a sample are added up.

    Maps with time that are folded into the batch are divided by B * T instead.
    """
    difference = full_precision(generated) - full_precision(teacher.detach())
    return difference.square().sum() / len(generated)
