"""What the detector should say: annotated segments assigned to priors, and maps of boundaries."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from featkd.errors import UsageError

BACKGROUND = 0
"""Label of what is no action; the K actions have labels 1 to K."""

_BOUNDARY_PARTS = 10
_MIN_BOUNDARY_FRAMES = 2


class ClipAnnotations(NamedTuple):
    """What happens in one clip.

    Attributes:
        segments: (N, 2), start and end of each action, in frames of the clip.
        labels: (N,), 1 to K; a segment labelled `BACKGROUND` covers priors as background.
    """

    segments: Float[Tensor, "annotations 2"]
    labels: Int[Tensor, " annotations"]


class Assignment(NamedTuple):
    """The action each prior is to find.

    Attributes:
        labels: (B, P), `BACKGROUND` where a prior lies in no action.
        distances: (B, P, 2), from the prior back to the action's start and on to its end, in
            frames; 0 where there is none.
    """

    labels: Int[Tensor, "batch priors"]
    distances: Float[Tensor, "batch priors 2"]


def assign_priors(
    centres: Float[Tensor, " priors"], annotations: Sequence[ClipAnnotations]
) -> Assignment:
    """Give each prior the shortest action it lies in.

    AFSD (Lin et al., CVPR 2021), section 3.4, as published for THUMOS14: priors of all levels are
    treated alike, whatever the length of the action. Both ends belong to an action. Of actions of
    equal length the first one counts.

    Args:
        centres: where the priors stand, in frames.
        annotations: one for each clip of the batch.

    Raises:
        UsageError: there is no clip.
    """
    if not annotations:
        raise UsageError("annotations are an empty sequence; expected one for each clip of a batch")
    labels, distances = zip(*(_assign(centres, clip) for clip in annotations), strict=True)
    return Assignment(torch.stack(labels), torch.stack(distances))


def _assign(centres: Tensor, clip: ClipAnnotations) -> tuple[Tensor, Tensor]:
    segments = clip.segments.to(centres)
    if not len(segments):
        return centres.new_zeros(len(centres), dtype=torch.long), centres.new_zeros(len(centres), 2)
    back = centres[:, None] - segments[None, :, 0]
    onward = segments[None, :, 1] - centres[:, None]
    inside = (back >= 0) & (onward >= 0)
    length, chosen = torch.where(inside, back + onward, torch.inf).min(dim=1)
    distances = torch.stack((back, onward), dim=2)[torch.arange(len(centres)), chosen]
    labels = clip.labels.to(centres.device).long()[chosen]
    found = length.isfinite()
    return torch.where(found, labels, BACKGROUND), torch.where(found[:, None], distances, 0.0)


def boundary_maps(
    annotations: Sequence[ClipAnnotations], num_frames: int
) -> Float[Tensor, "batch 2 frames"]:
    """Mark the frames around starts (first map) and ends (second map) of actions with 1.

    A boundary extends a tenth of the action's length, at least 2 frames, half of it on each side.

    Args:
        annotations: one for each clip of the batch.
        num_frames: of a clip.
    """
    maps = torch.zeros(len(annotations), 2, num_frames)
    for clip_maps, clip in zip(maps, annotations, strict=True):
        segments = clip.segments.cpu()
        lengths = segments[:, 1] - segments[:, 0]
        reach = (lengths / _BOUNDARY_PARTS).clamp(min=_MIN_BOUNDARY_FRAMES)[:, None] / 2
        first = (segments - reach).round().clamp(0, num_frames - 1).long().tolist()
        last = (segments + reach).round().clamp(0, num_frames - 1).long().tolist()
        for starts, ends in zip(first, last, strict=True):
            for boundary, (begin, stop) in enumerate(zip(starts, ends, strict=True)):
                clip_maps[boundary, begin : stop + 1] = 1
    return maps
