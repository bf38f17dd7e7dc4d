"""Losses that make boundaries stand out: AFSD (Lin et al., CVPR 2021), sections 3.3 and 3.4."""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from featkd.detection.afsd.output import BoundaryFeatures
from featkd.detection.afsd.windows import frame_windows
from featkd.detection.boundary_pooling import boundary_max_pool
from featkd.representation import full_precision

_BRANCH_WEIGHT = 0.1
"""Of the two features at level 0, beside the one with a time step a frame."""


class BoundaryLosses(NamedTuple):
    """One loss for starts, one for ends."""

    start: Float[Tensor, ""]
    end: Float[Tensor, ""]


def boundary_losses(
    boundaries: BoundaryFeatures, maps: Float[Tensor, "batch 2 frames"]
) -> BoundaryLosses:
    """Ask the features to be large around boundaries and zero elsewhere.

    The score of a time step is the mean over channels of tanh of the feature, which is not
    negative; its cross entropy with the map is averaged over batch and time.

    Args:
        boundaries: with gradients.
        maps: frames around starts (first map) and ends (second map), 0 or 1.
    """
    losses = [
        weight * _score_losses(feature, maps.to(feature.device))
        for feature, weight in _weighted(boundaries)
    ]
    start, end = torch.stack(losses).sum(dim=0)
    return BoundaryLosses(start, end)


def consistency_loss(
    boundaries: BoundaryFeatures, segments: Float[Tensor, "batch 3 2"]
) -> Float[Tensor, ""]:
    """Compare the boundaries of an action that was cut in two: AFSD, section 3.5.

    The end of the first part must be closer to the start of the second part, which it once met,
    than to the start of the background between them: a triplet loss of margin 1.

    Args:
        boundaries: of rearranged clips, with gradients.
        segments: first part, second part and background of each clip, first and last frame.
    """
    windows = frame_windows(segments)
    num_frames = boundaries.frames.shape[2]
    losses = []
    for feature, weight in _weighted(boundaries):
        stride = num_frames / feature.shape[2]
        pooled = boundary_max_pool(feature, windows.to(feature.device) / stride)
        starts, ends = full_precision(pooled).chunk(2, dim=1)
        losses.append(
            weight
            * F.triplet_margin_loss(
                anchor=ends[..., 0], positive=starts[..., 1], negative=starts[..., 2]
            )
        )
    return torch.stack(losses).sum()


def _weighted(boundaries: BoundaryFeatures) -> tuple[tuple[Tensor, float], ...]:
    return (
        (boundaries.frames, 1.0),
        (boundaries.localisation, _BRANCH_WEIGHT),
        (boundaries.classification, _BRANCH_WEIGHT),
    )


def _score_losses(
    feature: Float[Tensor, "batch channels time"], maps: Float[Tensor, "batch 2 frames"]
) -> Float[Tensor, " boundary=2"]:
    """Cross entropy of start scores and of end scores."""
    scores = torch.stack(full_precision(feature).tanh().chunk(2, dim=1), dim=1).mean(dim=2)
    target = F.interpolate(maps, size=feature.shape[2], mode="nearest").to(scores)
    return F.binary_cross_entropy(scores, target, reduction="none").mean(dim=(0, 2))
