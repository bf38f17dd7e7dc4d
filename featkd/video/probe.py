"""What a video file really holds: found by decoding it, not by believing its header."""

from dataclasses import dataclass
from pathlib import Path

import av
from av.video.frame import VideoFrame

from featkd.errors import UsageError, VideoDecodeError
from featkd.video.container import libav_words, open_video
from featkd.video.timeline import Timeline, frame_rate
from featkd.video.upright import Orientation


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """What decoding showed of a video, or of a stretch of one.

    Attributes:
        num_frames: frames that decode in the stretch.
        declared_num_frames: frames the header promises for the whole file, or None.
        fps: mean frames per second, as the container tells.
        duration_sec: from the first frame's beginning to the last frame's end.
        width: pixels as shown, after rotation.
        height: pixels as shown, after rotation.
        rotation_deg: clockwise turn the metadata asks for: 0, 90, 180 or 270.
        codec: libav's name of the codec, for example ``h264``.
        container: libav's name of the file's format, for example ``matroska,webm``.
        complaint: what is wrong with the file although frames decode, or None.
    """

    num_frames: int
    declared_num_frames: int | None
    fps: float
    duration_sec: float
    width: int
    height: int
    rotation_deg: int
    codec: str
    container: str
    complaint: str | None


def probe(path: Path, *, start_sec: float = 0.0, end_sec: float | None = None) -> VideoInfo:
    """Decode the first video stream once and tell what it holds.

    Decoding stops at ``end_sec``; damage behind it is not looked for.

    Args:
        path: the video.
        start_sec: beginning of the stretch to count, in seconds from the first frame.
        end_sec: its end; frames are in [start_sec, end_sec). None means the end of the file.

    Returns:
        Facts about the stretch; `VideoInfo.complaint` is set where the file breaks off.

    Raises:
        UsageError: the stretch is empty.
        VideoOpenError: the file is not a video.
        VideoDecodeError: it opens, but no frame of the stretch decodes.
    """
    if end_sec is not None and end_sec <= start_sec:
        raise UsageError(f"{path}: end_sec is {end_sec}; expected more than start_sec, {start_sec}")
    first: VideoFrame | None = None
    first_sec = last_sec = 0.0
    num_frames = num_decoded = num_packets = 0
    error: av.FFmpegError | None = None
    ended = False
    with open_video(path) as (container, stream):
        declared = stream.frames or None
        fps = frame_rate(stream)
        codec = stream.codec_context.codec.canonical_name
        format_name = container.format.name
        timeline = Timeline.of(stream)
        try:
            for packet in container.demux(stream):
                num_packets += packet.size > 0
                for frame in packet.decode():
                    time_sec = timeline.place(frame.pts)
                    ended = end_sec is not None and time_sec >= end_sec
                    if ended:
                        break
                    num_decoded += 1
                    if time_sec < start_sec:
                        continue
                    if first is None:
                        first, first_sec = frame, time_sec
                    num_frames += 1
                    last_sec = time_sec
                if ended:
                    break
        except av.FFmpegError as stopped:
            error = stopped
        # An MP4's edit list can hide whole groups of pictures: they are declared, not indexed.
        promised = len(stream.index_entries) if "mp4" in format_name else stream.frames

    # A file with fewer packets than it promises was cut. Fewer frames than packets are no fault:
    # AVI packs B-frames together, and edit lists hide frames.
    cut = not ended and num_packets < promised
    complaint = _complaint(num_decoded, declared, error) if error or cut else None
    if first is None:
        stretch = f"from {start_sec} s to " + ("the end" if end_sec is None else f"{end_sec} s")
        reason = complaint or f"{num_decoded} frames decode, all before it"
        raise VideoDecodeError(f"{path} has no frame {stretch}: {reason}") from error

    width, height = Orientation.of(first).shown_size(first)
    return VideoInfo(
        num_frames=num_frames,
        declared_num_frames=declared,
        fps=float(fps),
        duration_sec=last_sec - first_sec + float(1 / fps),
        width=width,
        height=height,
        rotation_deg=round(-first.rotation / 90) % 4 * 90,
        codec=codec,
        container=format_name,
        complaint=complaint,
    )


def _complaint(num_decoded: int, declared: int | None, error: av.FFmpegError | None) -> str:
    of_declared = f" of {declared} declared" if declared else ""
    ending = "the file ends: it is cut short" if error is None else libav_words(error)
    return f"{num_decoded}{of_declared} frames decode, then: {ending}"
