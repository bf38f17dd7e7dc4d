"""Opening a video file, and saying plainly why one cannot be opened."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from featkd.errors import VideoOpenError

_LFS_POINTER_START = b"version https://git-lfs"


@contextmanager
def open_video(path: Path) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Open a file and its first video stream, decoding with one thread.

    One thread per decoder: many videos are decoded side by side, and threads inside each of them
    would only add latency and memory.

    Args:
        path: the file.

    Yields:
        The container and its first video stream that is not a cover picture. (The first, because
        its number is the file's own; which stream is "best" differs between versions of libav.)

    Raises:
        VideoOpenError: the file is missing, a folder, empty, a git-lfs pointer, not a video, or
            holds no video stream or one of an unknown codec.
    """
    # An absolute path cannot be taken for a protocol such as "pipe:0"; metadata that is not UTF-8
    # is common in old AVI files and nothing here reads it.
    try:
        container = av.open(str(path.absolute()), metadata_errors="ignore")
    except (av.FFmpegError, OSError) as error:
        raise open_error(path, error) from error
    with container:
        moving = [
            s for s in container.streams.video if not s.disposition & Disposition.attached_pic
        ]
        if not moving:
            if container.streams.video:
                raise VideoOpenError(f"{path} has no video stream, only a cover picture")
            kinds = ", ".join(sorted({other.type for other in container.streams})) or "none"
            raise VideoOpenError(f"{path} has no video stream (streams: {kinds})")
        stream = moving[0]
        # A file that was cut inside its header can tell of a stream without saying what it is.
        if not stream.codec_context:
            raise VideoOpenError(f"{path} has a video stream that no decoder is known for")
        stream.thread_count = 1
        yield container, stream


def open_error(path: Path, error: Exception) -> VideoOpenError:
    """The error to raise for a file that could not be opened: the reason a person would give."""
    return VideoOpenError(f"{path} {_why_not_a_video(path, error)}")


def libav_words(error: Exception) -> str:
    """What libav says about a failure, without the call that failed."""
    words = error.strerror if isinstance(error, av.FFmpegError | OSError) else None
    return words or str(error)


def decoder_version() -> str:
    """Name the software that turns files into RGB frames, for a cache's fingerprint."""
    versions = {name: ".".join(map(str, v)) for name, v in av.library_versions.items()}
    return (
        f"PyAV {av.__version__}, libavcodec {versions['libavcodec']}, "
        f"libswscale {versions['libswscale']}"
    )


def _why_not_a_video(path: Path, error: Exception) -> str:
    if path.is_dir():
        return "is a folder, not a video"
    if not path.exists():
        return "does not exist"
    if path.stat().st_size == 0:
        return "is empty (0 bytes)"
    try:
        with path.open("rb") as file:
            start = file.read(len(_LFS_POINTER_START))
    except OSError as unreadable:
        return f"cannot be read: {libav_words(unreadable)}"
    if start == _LFS_POINTER_START:
        return "is a git-lfs pointer, not the video itself (fetch it with 'git lfs pull')"
    return f"cannot be opened as a video: {libav_words(error)}"
