"""What every source of flow does, and how its frames are counted."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import UInt8

from featkd.errors import UsageError, VideoDecodeError
from featkd.types import Clip

FlowValue = str | int | float | None


@runtime_checkable
class FlowReader(Protocol):
    """A folder that has the flow of clips."""

    def read(
        self, clip: Clip, frame_indices: Sequence[int]
    ) -> UInt8[np.ndarray, "frames height width 2"]:
        """Flow from some frames of a clip to the frames after them; a `FrameReader`.

        Quantised as `featkd.video.quantise_flow` does it. The last frame has none after it: it is
        given the flow of the frame before.

        Raises:
            UsageError: no index is given, or one lies outside the clip.
            VideoError: the clip has no flow that can be read.
            FlowError: it has none yet; the message says how to compute it.
        """
        ...

    def fingerprint(self) -> dict[str, FlowValue]:
        """How the flow was made, as far as it is known, in flat names and values."""
        ...


@runtime_checkable
class FlowFrames(Protocol):
    """The flow of one clip, frame by frame."""

    @property
    def source(self) -> str:
        """Where it lies, for messages."""
        ...

    @property
    def num_frames(self) -> int:
        """How many frames of flow there are."""
        ...

    def frame(self, index: int) -> UInt8[np.ndarray, "height width 2"]:
        """Flow from frame ``index`` to the next.

        Raises:
            VideoDecodeError: it cannot be read.
        """
        ...


def gather(
    clip: Clip, frame_indices: Sequence[int], flow: FlowFrames
) -> UInt8[np.ndarray, "frames height width 2"]:
    """Read the flow of frames of a clip, each frame once.

    Args:
        clip: n frames.
        frame_indices: frames to return, in any order, repeated as wished.
        flow: n - 1 frames, or n where whoever made it repeated one at the end.

    Raises:
        UsageError: no index is given, or one lies outside the clip.
        VideoDecodeError: there are more frames or fewer, one cannot be read, or they differ in
            size.
    """
    if not frame_indices or min(frame_indices) < 0 or max(frame_indices) >= clip.num_frames:
        raise UsageError(
            f"frame indices of {clip.video_id!r} are {list(frame_indices)}; expected at least one, "
            f"each from 0 to {clip.num_frames - 1}"
        )
    if flow.num_frames not in {clip.num_frames - 1, clip.num_frames} or flow.num_frames == 0:
        raise VideoDecodeError(
            f"{flow.source} has {flow.num_frames} frames of flow, and {clip.video_id!r} has "
            f"{clip.num_frames} frames; expected {clip.num_frames - 1} (from each frame to the "
            f"next) or {clip.num_frames}"
        )
    wanted = [min(index, flow.num_frames - 1) for index in frame_indices]
    frames = {index: flow.frame(index) for index in sorted(set(wanted))}
    shapes = {frame.shape for frame in frames.values()}
    if len(shapes) > 1:
        raise VideoDecodeError(
            f"{flow.source} has frames of {', '.join(f'{w}x{h}' for h, w, _ in sorted(shapes))} "
            "pixels; expected one size"
        )
    return np.stack([frames[index] for index in wanted])
