"""From a detector's predictions for windows to scored segments.

AFSD: Lin et al., "Learning Salient Boundary Feature for Anchor-free Temporal Action Localization"
(CVPR 2021). Shapes use the letters of the glossary and P for priors, the moments that segments are
told from.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from featkd.errors import UsageError


@runtime_checkable
class PriorPredictions(Protocol):
    """What decoding needs of a detector's predictions for a batch of windows."""

    @property
    def coarse_distances(self) -> Float[Tensor, "batch priors 2"]:
        """From each prior back to the start and on to the end of a segment, in frames."""

    @property
    def coarse_logits(self) -> Float[Tensor, "batch priors outputs"]:
        """Classes of these segments; output 0 is background, as in all logits here."""

    @property
    def offsets(self) -> Float[Tensor, "batch priors 2"]:
        """Corrections of the distances, in halves of the segment's length."""

    @property
    def refined_logits(self) -> Float[Tensor, "batch priors outputs"]:
        """Classes of the corrected segments."""

    @property
    def quality_logits(self) -> Float[Tensor, "batch priors"]:
        """How well the corrected segments fit, before the sigmoid."""


class FusedPredictions(NamedTuple):
    """Predictions of several networks in one; fields as in `PriorPredictions`."""

    coarse_distances: Float[Tensor, "batch priors 2"]
    coarse_logits: Float[Tensor, "batch priors outputs"]
    offsets: Float[Tensor, "batch priors 2"]
    refined_logits: Float[Tensor, "batch priors outputs"]
    quality_logits: Float[Tensor, "batch priors"]


class ScoredSegments(NamedTuple):
    """Segments of a batch of windows.

    Attributes:
        segments: (B, P, 2), start and end in frames of the window; a correction can turn one round,
            so that it ends before it starts.
        scores: (B, P, K), without background.
    """

    segments: Float[Tensor, "batch priors 2"]
    scores: Float[Tensor, "batch priors classes"]


def fuse_streams(streams: Sequence[PriorPredictions]) -> FusedPredictions:
    """Average what networks say about the same windows, as AFSD fuses RGB and flow.

    Distances are averaged before they are corrected, logits before they become probabilities.

    Raises:
        UsageError: there is no network, or their shapes differ.
    """
    if not streams:
        raise UsageError("there is no stream to fuse; expected at least one")
    return FusedPredictions(*(_mean(streams, name) for name in FusedPredictions._fields))


def _mean(streams: Sequence[PriorPredictions], name: str) -> Tensor:
    values = [getattr(stream, name) for stream in streams]
    shapes = [tuple(value.shape) for value in values]
    if len(set(shapes)) > 1:
        raise UsageError(f"{name} of the streams have shapes {shapes}; expected one shape")
    return torch.stack(values).mean(dim=0)


def decode(
    predictions: PriorPredictions, centres: Float[Tensor, " priors"], window_frames: int
) -> ScoredSegments:
    """Turn predictions into segments and scores.

    A distance d and its offset o become ``d + o * length / 2``. The score of a class is the mean of
    its coarse and refined probabilities times the quality.

    Args:
        predictions: of the network.
        centres: where the priors stand, in frames of the window.
        window_frames: length of a window, or of a video that is shorter; segments are cut at its
            ends.
    """
    half_lengths = predictions.coarse_distances.sum(dim=-1, keepdim=True) / 2
    distances = predictions.coarse_distances + half_lengths * predictions.offsets
    back, onward = distances.unbind(-1)
    segments = torch.stack([centres - back, centres + onward], dim=-1)
    coarse = predictions.coarse_logits.softmax(dim=-1)
    refined = predictions.refined_logits.softmax(dim=-1)
    quality = predictions.quality_logits.sigmoid().unsqueeze(-1)
    scores = (coarse + refined) / 2 * quality
    return ScoredSegments(segments.clamp(0, window_frames), scores[..., 1:])
