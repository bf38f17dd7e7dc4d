"""Which frames of a video are kept when it is sampled at a lower rate."""

import math
from fractions import Fraction

import numpy as np
from jaxtyping import Int

from featkd.errors import UsageError

SAMPLE_FPS = 10.0
"""Frames per second that AFSD sees THUMOS14 at."""


def sampled_frames(
    num_frames: int, fps: float, sample_fps: float = SAMPLE_FPS
) -> Int[np.ndarray, " sampled"]:
    """Indices of the frames that are kept, as AFSD samples: each time a sample's length is full.

    At 30 frames per second, sampled at 10, these are 2, 5, 8 and so on. The number of samples is
    ``floor(num_frames * sample_fps / fps)``.

    Args:
        num_frames: frames of the video.
        fps: frames per second of the video.
        sample_fps: frames per second to keep.

    Raises:
        UsageError: a rate is not above 0, or the video has fewer frames per second than asked for.
    """
    if not 0 < sample_fps <= fps < math.inf:
        raise UsageError(
            f"a video of {fps:g} frames per second cannot be sampled at {sample_fps:g}; "
            "expected rates above 0, the video's no lower"
        )
    step = Fraction(fps) / Fraction(sample_fps)
    num_samples = math.floor(num_frames / step)
    return np.array([math.ceil(k * step) - 1 for k in range(1, num_samples + 1)], dtype=np.int64)
