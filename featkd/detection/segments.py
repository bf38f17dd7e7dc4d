"""Segments of time, and how much they overlap."""

import numpy as np
from jaxtyping import Float


def temporal_iou(
    segments: Float[np.ndarray, "segments 2"], others: Float[np.ndarray, "others 2"]
) -> Float[np.ndarray, "segments others"]:
    """Intersection over union (tIoU) of every pair of segments.

    Two segments without length have tIoU 0, also with themselves.

    Args:
        segments: start and end of each, start at most end, in any unit.
        others: the same, in the same unit.
    """
    starts = np.maximum(segments[:, None, 0], others[None, :, 0])
    ends = np.minimum(segments[:, None, 1], others[None, :, 1])
    intersection = (ends - starts).clip(min=0.0)
    lengths, other_lengths = np.diff(segments)[:, 0], np.diff(others)[:, 0]
    union = lengths[:, None] + other_lengths[None, :] - intersection
    ious: np.ndarray = np.divide(intersection, union, out=np.zeros_like(union), where=union > 0)
    return ious
