"""Attention transfer: the student looks where the teacher looks."""

from collections.abc import Iterator, Mapping
from typing import Literal

import torch
from jaxtyping import Float, Int
from pydantic import Field, NonNegativeFloat, model_validator
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
from featkd.distillers.requirements import Requirements, pick_student_layer, pick_tap
from featkd.distillers.shapes import Shapes
from featkd.representation import full_precision
from featkd.types import Spec, StudentOutput, TapSpec, TeacherSignal

Form = Literal["joint", "per_frame"]
Distance = Literal["code", "paper"]


class LayerPairs(Spec):
    """Layers of the student that learn attention from layers of the teacher, and in which form."""

    layers: tuple[str, ...] = Field(("Mixed_3c", "Mixed_4f", "Mixed_5c"), min_length=1)
    """Layers of the student."""
    teacher_layers: tuple[str, ...] | None = None
    """Their partners in the teacher, in the same order; None means layers of the same names."""
    form: Form = "joint"
    """``joint``: one attention volume a clip, so *when* counts; ``per_frame``: a map a frame."""
    distance: Distance = "code"
    """``code``: mean squared difference; ``paper``: norm of the difference, halved (Eq. 2)."""

    @model_validator(mode="after")
    def _pair_layers(self) -> "LayerPairs":
        if self.teacher_layers is not None and len(self.teacher_layers) != len(self.layers):
            raise ValueError(
                f"teacher_layers has {len(self.teacher_layers)} entries and layers has "
                f"{len(self.layers)}; expected as many"
            )
        if len(set(self.layers)) != len(self.layers):
            raise ValueError(f"layers is {self.layers}; expected every layer once")
        return self

    @property
    def pairs(self) -> tuple[tuple[str, TapSpec], ...]:
        """Student layers with the teacher's taps."""
        partners = self.teacher_layers or self.layers
        taps = (TapSpec(layer, "spatial_attention") for layer in partners)
        return tuple(zip(self.layers, taps, strict=True))

    @property
    def taps(self) -> tuple[TapSpec, ...]:
        """The teacher's taps, each once."""
        return tuple(sorted({tap for _, tap in self.pairs}))

    def require_alignable(
        self, distiller: str, features: Mapping[str, tuple[int, ...]], shapes: Shapes
    ) -> None:
        """Check that the maps of all pairs can be brought to one size.

        Args:
            distiller: Whose need it is, for the message.
            features: Shapes (C, T, H, W) by layer of the network that learns.
            shapes: Of the teacher signal.

        Raises:
            ModelError: A layer is missing, or shapes cannot be aligned; names both.
            RequirementError: The signal lacks a tap.
        """
        for layer, tap in self.pairs:
            # The channels are averaged away.
            student = pick_student_layer(features, layer)[1:]
            teacher = pick_tap(shapes.teacher_features, tap)
            require_alignable(f"{distiller}, layer {layer!r}", student, teacher)


class ATConfig(DistillerConfig, LayerPairs):
    """Settings of attention transfer."""

    aliases = ("attention_transfer",)

    kind: Literal["at"] = "at"
    beta: NonNegativeFloat = 1000.0
    ce_weight: NonNegativeFloat = 1.0

    @property
    def requires(self) -> Requirements:
        """The teacher's unnormalised spatial attention and the student's maps."""
        return Requirements(taps=self.taps, student_layers=self.layers)


class AT(Distiller[ATConfig]):
    """Attention transfer over layers: ``CE + beta * sum of transfer losses``.

    Paying More Attention to Attention (Zagoruyko and Komodakis, ICLR 2017), Eq. 2. The teacher's
    maps come unnormalised and are normalised here, after pooling: pooled first, as they are where
    sizes differ, normalised maps would not be normalised any more.
    """

    def __init__(self, config: ATConfig, shapes: Shapes) -> None:
        """Build the distiller.

        Raises:
            ModelError: The student lacks a layer, or shapes cannot be aligned.
            RequirementError: The signal lacks a tap.
        """
        super().__init__(config)
        config.require_alignable("at", shapes.student_features, shapes)

    def __call__(
        self,
        student: StudentOutput,
        teacher: TeacherSignal,
        labels: Int[Tensor, " batch"],
        epoch: int,  # noqa: ARG002 (the contract passes it)
    ) -> LossTerms:
        """Compute ``cross_entropy`` and one ``at.<layer>`` for each layer."""
        config = self.config
        return LossTerms(
            (
                cross_entropy_term(student, labels, config.ce_weight),
                *attention_terms(config, student.features, teacher, config.beta),
            )
        )


def attention_terms(
    pairs: LayerPairs,
    features: Mapping[str, Float[Tensor, "batch _channels _time _height _width"]],
    teacher: TeacherSignal,
    beta: float,
) -> Iterator[LossTerm]:
    """One term ``at.<layer>`` for each layer.

    Args:
        pairs: Which layers, and in which form.
        features: Maps by layer of the network that learns.
        teacher: With the taps.
        beta: Weight; the paper's form halves it.

    Raises:
        ModelError: A layer is missing.
        RequirementError: The signal lacks a tap.
    """
    weight = beta / 2 if pairs.distance == "paper" else beta
    transfer = code_transfer_loss if pairs.distance == "code" else paper_transfer_loss
    for layer, tap in pairs.pairs:
        maps, targets = pool_to_common_size(
            spatial_attention(pick_student_layer(features, layer)),
            full_precision(pick_tap(teacher.features, tap).detach()),
            axes=3,
        )
        value = transfer(
            normalise_attention(maps, pairs.form), normalise_attention(targets, pairs.form)
        )
        yield LossTerm(f"at.{layer}", weight, value)


def spatial_attention(
    features: Float[Tensor, "batch channels time height width"],
) -> Float[Tensor, "batch time height width"]:
    """Compute ``Q = mean over channels of F^2``, unnormalised."""
    return full_precision(features).square().mean(dim=1)


def normalise_attention(
    maps: Float[Tensor, "batch time height width"], form: Form
) -> Float[Tensor, "maps positions"]:
    """Flatten and divide by the 2-norm: one row a clip (``joint``) or a frame (``per_frame``)."""
    rows = maps.flatten(1) if form == "joint" else maps.flatten(0, 1).flatten(1)
    return F.normalize(rows, dim=1)


def code_transfer_loss(
    student: Float[Tensor, "maps positions"], teacher: Float[Tensor, "maps positions"]
) -> Float[Tensor, ""]:
    """Compute the mean squared difference of normalised maps, as the authors' code does.

    It shrinks as the number of positions grows; ``beta`` has to grow with it.
    """
    return F.mse_loss(student, teacher)


def paper_transfer_loss(
    student: Float[Tensor, "maps positions"], teacher: Float[Tensor, "maps positions"]
) -> Float[Tensor, ""]:
    """Compute the norm of the difference of normalised maps (Eq. 2), averaged over maps."""
    distances: Tensor = torch.linalg.vector_norm(student - teacher, dim=1)
    return distances.mean()
