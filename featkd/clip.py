"""Stretches of videos, and what of them a network sees."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Clip:
    """One labelled stretch of one video: a row of a manifest with its file located.

    Frames are numbered from 0 inside the clip, in presentation order; ``num_frames`` counts them.
    ``start_sec`` and ``end_sec`` bound the clip in its file, ``[start, end)``; an ``end_sec`` of
    ``None`` means the end of the file.
    """

    video_id: str
    path: Path
    label: int
    num_frames: int
    width: int
    height: int
    fps: float
    start_sec: float = 0.0
    end_sec: float | None = None


class ClipSequence(Sequence[Clip]):
    """Clips in the order of their rows, whose ids can be asked for without making them."""

    @abstractmethod
    def video_ids(self) -> list[str]:
        """The id of every clip, each once."""


@dataclass(frozen=True, slots=True)
class View:
    """Which frames, region and orientation of a clip a network sees.

    ``frame_indices`` count inside the clip. ``crop_box`` is (left, top, right, bottom) as fractions
    of the displayed frame, so that networks of different input sizes see the same region.
    """

    video_id: str
    view_index: int
    frame_indices: tuple[int, ...]
    crop_box: tuple[float, float, float, float]
    flip: bool

    def __post_init__(self) -> None:
        left, top, right, bottom = self.crop_box
        if not (0.0 <= left < right <= 1.0 and 0.0 <= top < bottom <= 1.0):
            raise ValueError(
                f"crop_box of {self.video_id!r} is {self.crop_box}; expected fractions "
                "0 <= left < right <= 1 and 0 <= top < bottom <= 1"
            )
        if not self.frame_indices or min(self.frame_indices) < 0:
            raise ValueError(
                f"frame_indices of {self.video_id!r} are {self.frame_indices}; "
                "expected at least one index, none negative"
            )
