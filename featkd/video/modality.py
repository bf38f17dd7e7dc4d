"""What the frames of a video show: its colours, or how its pixels move."""

from typing import Final, Literal

import numpy as np
from jaxtyping import Float, UInt8

Modality = Literal["rgb", "flow"]
"""``rgb``: red, green and blue. ``flow``: optical flow, to the right and downwards."""

NUM_CHANNELS: Final[dict[Modality, int]] = {"rgb": 3, "flow": 2}

FLOW_BOUND_PIXELS: Final = 20.0
"""Flow is clipped to plus and minus this many pixels a frame."""


def quantise_flow(flow: Float[np.ndarray, "*shape"]) -> UInt8[np.ndarray, "*shape"]:
    """Flow as 8-bit pixels, as TSN's dense_flow and its followers write it.

    -20 pixels and less become 0, 20 and more 255; between them ``255 * (v + 20) / 40`` is rounded,
    a half to the even neighbour, so that no motion is 128. A pixel ``u`` stands for
    ``40 * u / 255 - 20``: steps of 0.157 pixels, and 128 for 0.078.

    Args:
        flow: displacements in pixels a frame, finite.

    Source:
        Wang et al., "Temporal Segment Networks", ECCV 2016, section 3.2, and its dense_flow.
    """
    bound = FLOW_BOUND_PIXELS
    clipped = np.clip(flow.astype(np.float64), -bound, bound)
    return np.rint(255 * (clipped + bound) / (2 * bound)).astype(np.uint8)


def mirrored(
    frames: UInt8[np.ndarray, "time height width channels"],
) -> UInt8[np.ndarray, "time height width channels"]:
    """Frames seen in a mirror, left and right exchanged.

    What moves to the right moves to the left there: in flow, the first of two channels changes its
    sign, ``u`` to ``255 - u``.
    """
    flipped = frames[:, :, ::-1]
    if frames.shape[3] != NUM_CHANNELS["flow"]:
        return flipped
    return np.stack([255 - flipped[..., 0], flipped[..., 1]], axis=3)
