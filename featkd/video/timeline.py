"""When a frame is shown, in seconds from the first frame of its stream."""

from fractions import Fraction

from av.video.stream import VideoStream

_FALLBACK_FPS = Fraction(25)


def frame_rate(stream: VideoStream) -> Fraction:
    """Frames per second as the container tells, on average; 25 where it tells nothing."""
    return stream.average_rate or stream.guessed_rate or _FALLBACK_FPS


def elapsed_sec(pts: int, origin_pts: int, time_base: Fraction) -> float:
    """Seconds from ``origin_pts`` to ``pts``, the float nearest to the exact value.

    A frame at 1/10 s is at exactly ``0.1``, so that a ``start_sec`` of 0.1 finds it.
    """
    return (pts - origin_pts) * time_base.numerator / time_base.denominator


class Timeline:
    """Places frames, given in the order in which the decoder puts them out.

    Time stamps place the frames where they rise. Old AVI files with B-frames have stamps that are
    missing or go back and forth; such a frame comes one mean frame duration after the one before.

    Args:
        time_base: seconds per unit of the time stamps.
        fps: mean frames per second.
    """

    def __init__(self, *, time_base: Fraction, fps: Fraction) -> None:
        self._time_base = time_base
        self._step_sec = float(1 / fps)
        self._origin_pts: int | None = None
        self._next_sec = 0.0
        self._last_sec = -1.0

    @classmethod
    def of(cls, stream: VideoStream) -> "Timeline":
        """The timeline of a stream, none of whose frames has been placed yet."""
        return cls(time_base=stream.time_base or Fraction(1), fps=frame_rate(stream))

    def place(self, pts: int | None) -> float:
        """The time of the next frame in seconds; the first frame's is 0.

        Args:
            pts: its presentation time stamp in units of the stream's time base.
        """
        time_sec = self._next_sec
        if pts is not None:
            if self._origin_pts is None:
                self._origin_pts = pts - round(self._next_sec / float(self._time_base))
            stamped_sec = elapsed_sec(pts, self._origin_pts, self._time_base)
            if stamped_sec > self._last_sec:
                time_sec = stamped_sec
        self._last_sec = time_sec
        self._next_sec = time_sec + self._step_sec
        return time_sec
