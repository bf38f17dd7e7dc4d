"""From what a detector says about windows to scored segments.

AFSD: Lin et al., "Learning Salient Boundary Feature for Anchor-free Temporal Action Localization"
(CVPR 2021). Letters: batch of windows B, priors K (moments that segments are told from), classes C
with background first.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from featkd.errors import UsageError

BACKGROUND = 0


class WindowOutput(NamedTuple):
    """What a detector says about a batch of windows.

    Attributes:
        distances: (B, K, 2), from each prior back to the start and on to the end of the coarse
            segment, in frames.
        logits: (B, K, C), classes of the coarse segments.
        refinements: (B, K, 2), by how much of half its length each coarse distance changes.
        refined_logits: (B, K, C), classes of the refined segments.
        quality_logits: (B, K), how well the refined segment fits.
        priors: (K,), as fractions of the window.
    """

    distances: Float[Tensor, "batch priors 2"]
    logits: Float[Tensor, "batch priors classes"]
    refinements: Float[Tensor, "batch priors 2"]
    refined_logits: Float[Tensor, "batch priors classes"]
    quality_logits: Float[Tensor, "batch priors"]
    priors: Float[Tensor, " priors"]


class ScoredSegments(NamedTuple):
    """Segments of a batch of windows.

    Attributes:
        segments: (B, K, 2), start and end in frames of the window; refinement can turn one round,
            so that it ends before it starts.
        scores: (B, K, C - 1), without background.
    """

    segments: Float[Tensor, "batch priors 2"]
    scores: Float[Tensor, "batch priors actions"]


def fuse_streams(outputs: Sequence[WindowOutput]) -> WindowOutput:
    """Average what several networks say about the same windows, as AFSD fuses RGB and flow.

    Distances are averaged before they are refined, logits before they become probabilities.

    Raises:
        UsageError: there is no output, or their shapes differ.
    """
    if not outputs:
        raise UsageError("there is no stream to fuse; expected at least one")
    shapes = [[tuple(field.shape) for field in output] for output in outputs]
    if any(shape != shapes[0] for shape in shapes):
        raise UsageError(f"streams give outputs of different shapes: {shapes}; expected equal ones")
    return WindowOutput(*(torch.stack(fields).mean(dim=0) for fields in zip(*outputs, strict=True)))


def decode(output: WindowOutput, window_frames: int) -> ScoredSegments:
    """Turn outputs into segments and scores.

    Distances d and refinements r of a prior give ``d + (d_start + d_end) / 2 * r``. The score of a
    class is the mean of its coarse and refined probability times the quality.

    Args:
        output: of the network.
        window_frames: length of a window; segments are cut at its ends.
    """
    lengths = output.distances.sum(dim=-1, keepdim=True)
    distances = output.distances + 0.5 * lengths * output.refinements
    centres = output.priors * window_frames
    segments = torch.stack([centres - distances[..., 0], centres + distances[..., 1]], dim=-1)
    probabilities = (output.logits.softmax(dim=-1) + output.refined_logits.softmax(dim=-1)) / 2
    scores = probabilities * output.quality_logits.sigmoid().unsqueeze(-1)
    return ScoredSegments(segments.clamp(0, window_frames), scores[..., BACKGROUND + 1 :])
