"""Soft-NMS: candidates that overlap a better one lose score instead of being dropped.

Bodla et al., "Soft-NMS: Improving Object Detection With One Line of Code" (ICCV 2017), with the
Gaussian penalty of Eq. 3, on segments of time.
"""

from typing import Literal

import numpy as np
from jaxtyping import Float, Int
from pydantic import PositiveFloat, PositiveInt

from featkd.detection.segments import temporal_iou
from featkd.errors import UsageError
from featkd.spec import Spec


class SoftNms(Spec):
    """Settings of soft-NMS; the defaults are AFSD's on THUMOS14."""

    kind: Literal["complete", "released"] = "complete"
    """``released`` never puts out the last candidate that is left, as AFSD's published code does:
    a class with one candidate then has none."""
    sigma: PositiveFloat = 0.5
    """Width of the penalty: a score is multiplied by exp(-tIoU^2 / sigma)."""
    min_score: PositiveFloat = 0.001
    """A candidate whose score sinks below is dropped."""
    max_segments: PositiveInt = 5000
    """How many candidates are kept at most."""


def soft_nms(
    segments: Float[np.ndarray, "segments 2"],
    scores: Float[np.ndarray, " segments"],
    settings: SoftNms,
) -> tuple[Int[np.ndarray, " kept"], Float[np.ndarray, " kept"]]:
    """Let candidates of one class and one video compete.

    The best candidate is kept and lowers the scores of those it overlaps; then the best of the rest
    is kept, and so on. Of equal scores the first wins.

    Args:
        segments: start and end of each candidate, start at most end.
        scores: of each candidate.
        settings: how they compete.

    Returns:
        Which candidates are kept, in their order, and the scores they have in the end.

    Raises:
        UsageError: a score is not finite.
    """
    if not np.isfinite(scores).all():
        wrong = int(np.flatnonzero(~np.isfinite(scores))[0])
        raise UsageError(f"score of candidate {wrong} is {scores[wrong]}; expected a finite number")
    final = scores.astype(np.float64)
    spans = segments.astype(np.float64)
    left = np.arange(len(scores))
    kept: list[int] = []
    fewest = 1 if settings.kind == "released" else 0
    while len(left) > fewest and len(kept) < settings.max_segments:
        place = int(final[left].argmax())
        best = int(left[place])
        kept.append(best)
        left = np.delete(left, place)
        overlap = temporal_iou(spans[[best]], spans[left])[0]
        final[left] *= np.exp(-(overlap**2) / settings.sigma)
        left = left[final[left] >= settings.min_score]
    indices = np.sort(np.array(kept, dtype=np.int64))
    return indices, final[indices]
