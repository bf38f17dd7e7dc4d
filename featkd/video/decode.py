"""Reading chosen frames of a clip, exactly and without decoding more than is needed.

Two ways lead to a frame. *Straight*: decode from the start of the file and count; always right,
because counting decoded frames is how a clip's frames are numbered. *Seeking*: jump to a keyframe
and recognise the frames behind it by their time stamps; taken only where an index of the file
agrees with the clip, given up at the first time stamp that surprises, and then the frames are read
straight. Both ways give the same pixels.
"""

from collections.abc import Iterator, Sequence

import av
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from jaxtyping import UInt8

from featkd.errors import UsageError, VideoDecodeError
from featkd.types import Clip
from featkd.video.container import libav_words, open_video
from featkd.video.frame_index import FrameIndex, index_frames
from featkd.video.timeline import Timeline
from featkd.video.upright import RgbConverter

_STRAIGHT_FRAMES = 32
"""Frames this near to the start are decoded straight: indexing the file would cost more."""


class _UnexpectedFrameError(Exception):
    """Decoding after a seek did not give the frames that the index promised."""


def read_frames(
    clip: Clip, frame_indices: Sequence[int]
) -> UInt8[np.ndarray, "frames height width 3"]:
    """Decode frames of a clip.

    Args:
        clip: the stretch of video; frame 0 is its first frame at or after ``start_sec``.
        frame_indices: frames to return, in any order, repeated as wished.

    Returns:
        Full-range RGB, upright, one frame per index in the order asked.

    Raises:
        UsageError: no index is given, or one lies outside the clip.
        VideoOpenError: the file is not a video.
        VideoDecodeError: a frame that is asked for does not decode, or the frames differ in size.
    """
    wanted = sorted(set(frame_indices))
    if not wanted or wanted[0] < 0 or wanted[-1] >= clip.num_frames:
        raise UsageError(
            f"frame indices of {clip.video_id!r} are {list(frame_indices)}; expected at least one, "
            f"each from 0 to {clip.num_frames - 1}"
        )
    if clip.start_sec > 0 or wanted[-1] >= _STRAIGHT_FRAMES:
        index = index_frames(clip.path)
        span = index.span(clip.start_sec, clip.end_sec) if index else range(0)
        if index and len(span) == clip.num_frames:
            with open_video(clip.path) as (container, stream):
                seeking = _seek_frames(container, stream, index, [span[i] for i in wanted])
                try:
                    return _gather(clip, frame_indices, zip(wanted, seeking, strict=True))
                except (_UnexpectedFrameError, av.FFmpegError):
                    # Reading straight gives the frames or tells exactly where the file breaks.
                    pass
    with open_video(clip.path) as (container, stream):
        straight = _straight_frames(container, stream, clip, wanted)
        return _gather(clip, frame_indices, zip(wanted, straight, strict=True))


def stream_frames(
    clip: Clip, frame_indices: Sequence[int] | None = None
) -> Iterator[UInt8[np.ndarray, "height width 3"]]:
    """Decode frames of a clip in order, holding one at a time.

    Args:
        clip: the stretch of video.
        frame_indices: frames to yield, each after the one before it; default: every frame.

    Yields:
        The pixels that `read_frames` gives.

    Raises:
        VideoOpenError: the file is not a video.
        VideoDecodeError: a frame does not decode, or the frames differ in size.
    """
    with open_video(clip.path) as (container, stream):
        wanted = range(clip.num_frames) if frame_indices is None else frame_indices
        straight = _straight_frames(container, stream, clip, wanted)
        for _, rgb in _converted(clip, zip(wanted, straight, strict=True)):
            yield rgb


def _straight_frames(
    container: InputContainer, stream: VideoStream, clip: Clip, wanted: Sequence[int]
) -> Iterator[VideoFrame]:
    """Decode from the start of the file, counting the frames of the clip."""
    timeline = Timeline.of(stream)
    remaining = iter(wanted)
    target = next(remaining)
    num_decoded = 0
    reason = "the file ends"
    cause: av.FFmpegError | None = None
    try:
        for frame in container.decode(stream):
            time_sec = timeline.place(frame.pts)
            if time_sec < clip.start_sec:
                continue
            if clip.end_sec is not None and time_sec >= clip.end_sec:
                reason = f"the clip ends at {clip.end_sec} s"
                break
            num_decoded += 1
            if num_decoded - 1 == target:
                yield frame
                following = next(remaining, None)
                if following is None:
                    return
                target = following
    except av.FFmpegError as error:
        reason, cause = libav_words(error), error
    raise VideoDecodeError(
        f"{clip.path}: frame {target} of {clip.video_id!r} does not decode: {num_decoded} of "
        f"{clip.num_frames} frames can be decoded, then: {reason}"
    ) from cause


def _seek_frames(
    container: InputContainer, stream: VideoStream, index: FrameIndex, positions: Sequence[int]
) -> Iterator[VideoFrame]:
    """Decode the frames at rising positions of the index, seeking where that skips frames."""
    decoded = container.decode(stream)
    upcoming = 0
    for target in positions:
        seek_pts, entry = index.entry(target)
        landed = upcoming >= entry
        if not landed:
            container.seek(seek_pts, stream=stream)
            decoded = container.decode(stream)
            upcoming = entry
        for frame in decoded:
            if frame.pts == index.pts[upcoming]:
                landed = True
                upcoming += 1
                if upcoming > target:
                    yield frame
                    break
            # A seek may land earlier than asked, and an open group of pictures begins with frames
            # that belong to the group before: both come before the entry and are passed over.
            elif landed or frame.pts is None or frame.pts > index.pts[upcoming]:
                raise _UnexpectedFrameError
        else:
            raise _UnexpectedFrameError


def _gather(
    clip: Clip, frame_indices: Sequence[int], decoded: Iterator[tuple[int, VideoFrame]]
) -> UInt8[np.ndarray, "frames height width 3"]:
    """Put decoded frames, each given once, where they were asked for."""
    places: dict[int, list[int]] = {}
    for place, frame_index in enumerate(frame_indices):
        places.setdefault(frame_index, []).append(place)
    frames: UInt8[np.ndarray, "frames height width 3"] | None = None
    for frame_index, rgb in _converted(clip, decoded):
        if frames is None:
            frames = np.empty((len(frame_indices), *rgb.shape), np.uint8)
        for place in places[frame_index]:
            frames[place] = rgb
    assert frames is not None, "read_frames asks for at least one frame"  # noqa: S101
    return frames


def _converted(
    clip: Clip, decoded: Iterator[tuple[int, VideoFrame]]
) -> Iterator[tuple[int, UInt8[np.ndarray, "height width 3"]]]:
    """Decoded frames as RGB, all of one size."""
    to_rgb = RgbConverter()
    shape: tuple[int, ...] | None = None
    for frame_index, frame in decoded:
        try:
            rgb = to_rgb(frame)
        except av.FFmpegError as error:
            raise VideoDecodeError(
                f"{clip.path}: frame {frame_index} of {clip.video_id!r} does not convert from "
                f"{frame.format.name} to RGB: {libav_words(error)}"
            ) from error
        shape = shape or rgb.shape
        if rgb.shape != shape:
            raise VideoDecodeError(
                f"{clip.path}: frame {frame_index} is {rgb.shape[1]}x{rgb.shape[0]} pixels, "
                f"expected {shape[1]}x{shape[0]} as the frames before it"
            )
        yield frame_index, rgb
