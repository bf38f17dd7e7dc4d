"""Where the frames of a file are: time stamps and keyframes, read without decoding."""

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import av

from featkd.video.container import open_error, open_video
from featkd.video.timeline import elapsed_sec


@dataclass(frozen=True, slots=True)
class FrameIndex:
    """The shown frames of a stream in presentation order.

    Attributes:
        pts: time stamps, strictly rising, in units of ``time_base``.
        keyframe_pts: time stamps of the frames at which decoding can begin, rising; the first is
            not after ``pts[0]``. An edit list may hide a keyframe, which then is not in ``pts``.
        time_base: seconds per unit.
    """

    pts: tuple[int, ...]
    keyframe_pts: tuple[int, ...]
    time_base: Fraction

    def span(self, start_sec: float, end_sec: float | None) -> range:
        """Positions of the frames in [start_sec, end_sec), seconds from the first frame."""

        def time_of(pts: int) -> float:
            return elapsed_sec(pts, self.pts[0], self.time_base)

        begin = bisect_left(self.pts, start_sec, key=time_of)
        if end_sec is None:
            return range(begin, len(self.pts))
        return range(begin, bisect_left(self.pts, end_sec, key=time_of))

    def entry(self, position: int) -> tuple[int, int]:
        """Where to begin decoding in order to reach the frame at ``position``.

        Returns:
            The time stamp of the keyframe to seek to, and the position of the first frame that is
            shown from there.
        """
        keyframe = bisect_right(self.keyframe_pts, self.pts[position]) - 1
        seek_pts = self.keyframe_pts[keyframe]
        return seek_pts, bisect_left(self.pts, seek_pts)


def index_frames(path: Path) -> FrameIndex | None:
    """Index a file by its packets.

    The last few indexes are kept, because the clips of a long video and the views of a clip are
    usually read one after the other. A file that changes is indexed again.

    Args:
        path: the video.

    Returns:
        The index, or None where time stamps are missing or ambiguous.

    Raises:
        VideoOpenError: the file is not a video.
    """
    try:
        status = path.stat()
    except OSError as error:
        raise open_error(path, error) from error
    return _index_frames(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=32)
def _index_frames(path: Path, size_bytes: int, modified_ns: int) -> FrameIndex | None:  # noqa: ARG001
    shown: list[int] = []
    keyframes: list[int] = []
    with open_video(path) as (container, stream):
        try:
            for packet in container.demux(stream):
                if packet.size == 0:
                    continue
                if packet.pts is None:
                    return None
                if packet.is_keyframe:
                    keyframes.append(packet.pts)
                if not packet.is_discard:
                    shown.append(packet.pts)
        except av.FFmpegError:
            # A damaged file: decoding from its start tells how far it goes.
            return None
        time_base = stream.time_base
    pts, keyframe_pts = tuple(sorted(set(shown))), tuple(sorted(set(keyframes)))
    if time_base is None or len(pts) != len(shown) or not pts:
        return None
    if not keyframe_pts or keyframe_pts[0] > pts[0]:
        return None
    return FrameIndex(pts, keyframe_pts, time_base)
