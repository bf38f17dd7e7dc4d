"""WKD-F: distance of the Gaussians that channels of both maps are taken for."""

import math
from itertools import product
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float, Int
from pydantic import NonNegativeFloat, NonNegativeInt, PositiveInt, model_validator
from torch import Tensor, nn

from featkd.distillers.base import Distiller, LossTerm, LossTerms, cross_entropy_term
from featkd.distillers.layer import LayerConfig, student_map, teacher_target
from featkd.distillers.requirements import Requirements, pick_student_layer, pick_tap
from featkd.distillers.shapes import Shapes
from featkd.errors import ModelError
from featkd.representation import full_precision
from featkd.types import StudentOutput, TapSpec, TeacherSignal

Grid = tuple[PositiveInt, PositiveInt, PositiveInt]
_EPSILON = 1e-5
_BOTTLENECK = 256


class WKDConfig(LayerConfig):
    """Settings of Wasserstein distillation of features; the defaults are those used on ImageNet.

    Squared differences are added up over channels: with twice the teacher's channels (there 512)
    half the weight is as strong.
    """

    aliases = ("wkd_f", "wasserstein")

    kind: Literal["wkd"] = "wkd"
    cells: Literal["clip", "frame"] | Grid = "clip"
    """Which positions make a Gaussian. ``clip``: all, 4 KB a clip in the cache for 1,024 channels;
    ``frame``: those of a time step; or a grid of cells along (T, H, W), from the full map."""
    projector: Literal["bottleneck", "linear"] | None = "bottleneck"
    """How the student's map gets the teacher's channels: three convolutions that are narrow inside;
    one of 1x1x1; None for a student with the same channels."""
    weight: NonNegativeFloat = 0.02
    """Weight of both terms before it decays."""
    mean_std_ratio: NonNegativeFloat = 2.0
    """Weight of the difference of means for 1 of the difference of deviations."""
    decay_start_epoch: NonNegativeInt = 0
    """Last epoch with the full weight."""
    decay_end_epoch: PositiveInt | None = None
    """Epoch that the weight reaches 0 in, along a cosine; the original takes the last one. None
    means a constant weight."""
    ce_weight: NonNegativeFloat = 1.0

    @model_validator(mode="after")
    def _decay_takes_time(self) -> "WKDConfig":
        if self.decay_end_epoch is not None and self.decay_end_epoch <= self.decay_start_epoch:
            raise ValueError(
                f"decay_end_epoch is {self.decay_end_epoch} and decay_start_epoch "
                f"{self.decay_start_epoch}; expected a later end"
            )
        return self

    @property
    def tap(self) -> TapSpec:
        """The teacher's moments, or the map that they are taken of."""
        if self.cells == "clip":
            return self.tap_of("moments")
        return self.tap_of("frame_moments" if self.cells == "frame" else "full")

    @property
    def requires(self) -> Requirements:
        """The teacher's moments and the student's map."""
        return Requirements(taps=(self.tap,), student_layers=(self.layer,))

    def decayed_weight(self, epoch: int) -> float:
        """The weight in an epoch, counted from 1."""
        if self.decay_end_epoch is None or epoch <= self.decay_start_epoch:
            return self.weight
        span = self.decay_end_epoch - self.decay_start_epoch
        progress = min((epoch - self.decay_start_epoch) / span, 1.0)
        return self.weight * (1 + math.cos(math.pi * progress)) / 2


class WKD(Distiller[WKDConfig]):
    """``CE + weight * (ratio * sum (mu_s - mu_t)^2 + sum (sigma_s - sigma_t)^2)``.

    Wasserstein Distance Rivals Kullback-Leibler Divergence for Knowledge Distillation (Lv, Yang and
    Li, NeurIPS 2024), section 3.2: WKD-F with diagonal covariances. Student and teacher may have
    maps of different sizes, since each is summed up by its own moments.
    """

    def __init__(self, config: WKDConfig, shapes: Shapes) -> None:
        """Build the distiller and its projector.

        Raises:
            ModelError: The student lacks the layer; channels differ without a projector; time steps
                differ with ``cells: frame``; or a cell has one position.
            RequirementError: The signal lacks the tap.
        """
        super().__init__(config)
        features = pick_student_layer(shapes.student_features, config.layer)
        target = pick_tap(shapes.teacher_features, config.tap)
        gridded = config.tap.reduction == "full"
        channels = target[0] if gridded else target[1]
        if config.projector is None and features[0] != channels:
            raise ModelError(
                f"wkd: the student's map has shape {features} and the teacher's "
                f"{config.tap.reduction} {target}; expected the same channels, or a projector"
            )
        if config.cells == "frame" and features[1] != target[2]:
            raise ModelError(
                f"wkd: cells is 'frame', the student's map has shape {features} and the teacher's "
                f"moments {target}; expected the same time steps, or cells 'clip' or a grid"
            )
        for shape in (features, target) if gridded else (features,):
            _require_positions(shape, _grid(config, shape))
        if config.projector is not None:
            build = {"bottleneck": _bottleneck_projector, "linear": _linear_projector}
            self.modules["projector"] = build[config.projector](features[0], channels)

    def __call__(
        self,
        student: StudentOutput,
        teacher: TeacherSignal,
        labels: Int[Tensor, " batch"],
        epoch: int,
    ) -> LossTerms:
        """Compute ``cross_entropy``, ``wkd.mean`` and ``wkd.std``."""
        config = self.config
        features = student_map(student.features, config.layer)
        if "projector" in self.modules:
            features = self.modules["projector"](features)
        target = teacher_target(teacher.features, config.tap)
        if config.tap.reduction == "full":
            taught = cell_moments(target, _grid(config, tuple(target.shape[1:])))
        else:
            taught = _read_moments(target)
        moments = cell_moments(features, _grid(config, tuple(features.shape[1:])))
        distance = wasserstein_distance(moments, taught)
        weight = config.decayed_weight(epoch)
        return LossTerms(
            (
                cross_entropy_term(student, labels, config.ce_weight),
                LossTerm("wkd.mean", config.mean_std_ratio * weight, distance.mean),
                LossTerm("wkd.std", weight, distance.std),
            )
        )


class Moments(NamedTuple):
    """Moments of each cell of a map.

    Attributes:
        mean: mu.
        variance: Unbiased.
    """

    mean: Float[Tensor, "batch channels cells"]
    variance: Float[Tensor, "batch channels cells"]


class WassersteinDistance(NamedTuple):
    """The two parts of a squared distance.

    Attributes:
        mean: Of the means.
        std: Of the standard deviations.
    """

    mean: Float[Tensor, ""]
    std: Float[Tensor, ""]


def cell_moments(
    features: Float[Tensor, "batch channels time height width"], grid: tuple[int, int, int]
) -> Moments:
    """Compute mean and unbiased variance in every cell of a grid.

    Args:
        features: The map.
        grid: Cells along T, H, W. As in adaptive pooling, cell i of m along n positions is
            ``[floor(i n / m), ceil((i + 1) n / m))``: cells overlap where m does not divide n.
    """
    features = full_precision(features)
    parts = [
        torch.var_mean(features[:, :, time, height, width], dim=(2, 3, 4))
        for time, height, width in product(*map(_cut, features.shape[2:], grid))
    ]
    variances, means = zip(*parts, strict=True)
    return Moments(torch.stack(means, dim=2), torch.stack(variances, dim=2))


def wasserstein_distance(student: Moments, teacher: Moments) -> WassersteinDistance:
    """Compute ``sum (mu_s - mu_t)^2`` and ``sum (sigma_s - sigma_t)^2``.

    Sums are over channels, averages over samples and cells; ``sigma = sqrt(variance + 1e-5)``.

    Args:
        student: With gradients.
        teacher: No gradient flows to it.
    """
    num_gaussians = student.mean.shape[0] * student.mean.shape[2]
    means = student.mean - teacher.mean.detach()
    deviations = _deviation(student.variance) - _deviation(teacher.variance.detach())
    return WassersteinDistance(
        means.square().sum() / num_gaussians, deviations.square().sum() / num_gaussians
    )


def _deviation(variance: Tensor) -> Tensor:
    return (variance + _EPSILON).sqrt()


def _read_moments(
    tapped: Float[Tensor, "batch 2 channels"] | Float[Tensor, "batch 2 channels time"],
) -> Moments:
    """What a tap of moments holds, with its axis of cells."""
    mean, deviation = tapped.reshape(*tapped.shape[:3], -1).unbind(dim=1)
    return Moments(mean, deviation.square())


def _grid(config: WKDConfig, shape: tuple[int, ...]) -> tuple[int, int, int]:
    """Cells along T, H, W of a map (C, T, H, W)."""
    if config.cells == "clip":
        return (1, 1, 1)
    return (shape[1], 1, 1) if config.cells == "frame" else config.cells


def _cut(length: int, num_cells: int) -> list[slice]:
    return [
        slice(index * length // num_cells, -(-(index + 1) * length // num_cells))
        for index in range(num_cells)
    ]


def _require_positions(shape: tuple[int, ...], grid: tuple[int, int, int]) -> None:
    sides = [
        min(part.stop - part.start for part in _cut(length, cells))
        for length, cells in zip(shape[1:], grid, strict=True)
    ]
    if math.prod(sides) < 2:
        raise ModelError(
            f"wkd: a map of shape {shape} cut into {grid} cells has cells of one position; "
            "expected two or more to take a variance of"
        )


def _linear_projector(inputs: int, outputs: int) -> nn.Module:
    return nn.Sequential(nn.Conv3d(inputs, outputs, 1), nn.BatchNorm3d(outputs), nn.ReLU())


def _bottleneck_projector(inputs: int, outputs: int) -> nn.Module:
    """As published: nothing between the convolutions makes them more than one linear map."""
    return nn.Sequential(
        nn.Conv3d(inputs, _BOTTLENECK, 1),
        nn.Conv3d(_BOTTLENECK, _BOTTLENECK, (1, 3, 3), padding="same"),
        nn.Conv3d(_BOTTLENECK, outputs, 1),
        nn.BatchNorm3d(outputs),
        nn.ReLU(),
    )
