"""The synthetic untrimmed dataset: videos in which several actions happen, with times to detect."""

import hashlib
import math
from collections import Counter
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, FiniteFloat, model_validator

from featkd.synthetic.claim import claim_folder
from featkd.synthetic.dataset import SyntheticVideo
from featkd.synthetic.encode import encode_h264
from featkd.synthetic.fields import MotionNames, SplitSizes
from featkd.synthetic.motions import MIN_FRAMES, clock_of, compose_trajectory
from featkd.synthetic.scene import draw_video, sample_setting
from featkd.synthetic.seeding import named_generator
from featkd.synthetic.timeline import Timeline, TimelineRange, sample_timeline
from featkd.synthetic.write import write_missing
from featkd.types import Progress, Silent, Spec

NOMINAL_FPS = 10
"""Frames per second at which motions have the periods of `featkd.synthetic.motions`."""

# A motion shows itself in MIN_FRAMES poses: those it changes, and the one it starts from.
_SHORTEST_ACTION_SEC = (MIN_FRAMES - 1) / NOMINAL_FPS
# Tenths of seconds are not exact in binary.
_ROUNDING_FRAMES = 1e-6


def _require_order(limits: tuple[float, float]) -> tuple[float, float]:
    if limits[0] > limits[1]:
        raise ValueError(f"the range is {limits[0]:g} to {limits[1]:g}; expected the shorter first")
    return limits


RangeSec = Annotated[
    tuple[Annotated[FiniteFloat, Field(gt=0)], Annotated[FiniteFloat, Field(gt=0)]],
    AfterValidator(_require_order),
]
"""Shortest and longest, in seconds."""


class UntrimmedSpec(Spec):
    """Everything that decides the pixels and the actions of a synthetic untrimmed dataset."""

    num_videos: SplitSizes = Field(default={"train": 80, "val": 16, "test": 24})
    """Split name to number of videos."""
    classes: MotionNames = ("translate_left", "rotate_clockwise", "zoom_in", "bounce")
    """Motions, in the order of their labels. None that stands still between its changes, since
    nobody could see it begin: not ``blink``."""
    video_sec: RangeSec = (12.0, 24.0)
    """Length of a video."""
    action_sec: RangeSec = (1.5, 4.0)
    """Length of an action."""
    gap_sec: RangeSec = (0.8, 3.0)
    """Stillness between two actions; before the first and behind the last at least the shortest."""
    overlap_share: float = Field(default=0.2, ge=0, le=1)
    """Of the actions that follow a gap, how many are joined by another before they end."""
    size: int = Field(default=64, ge=16, multiple_of=2)
    """Height and width, in pixels."""
    fps: int = Field(default=NOMINAL_FPS, ge=NOMINAL_FPS)
    """Frames per second. Motions take as many seconds at any rate."""
    crf: int = Field(default=20, ge=0, le=51)
    """x264's constant rate factor: 0 is lossless, 51 is worst."""
    seed: int = 0

    @model_validator(mode="after")
    def _check_classes(self) -> "UntrimmedSpec":
        if "blink" in self.classes:
            raise ValueError(
                "classes have blink, which stands still between two changes, so that its start "
                "cannot be seen; expected other motions"
            )
        if not self.overlap_share:
            return self
        if len(self.classes) == 1:
            raise ValueError(
                f"overlap_share is {self.overlap_share:g}, but {self.classes[0]} is the only class "
                "and cannot overlap itself; expected more classes, or 0"
            )
        for one, other in combinations(self.classes, 2):
            if clock_of(one) == clock_of(other):
                raise ValueError(
                    f"overlap_share is {self.overlap_share:g}, but {one} and {other} cannot happen "
                    "at once; expected classes of which any two can, or 0"
                )
        return self

    @model_validator(mode="after")
    def _check_lengths(self) -> "UntrimmedSpec":
        if self.action_sec[0] < _SHORTEST_ACTION_SEC:
            raise ValueError(
                f"action_sec begins at {self.action_sec[0]:g}; motions need at least "
                f"{_SHORTEST_ACTION_SEC:g} s to show themselves"
            )
        for name in ("video_sec", "action_sec", "gap_sec"):
            first, last = self._in_frames(getattr(self, name))
            if first > last:
                raise ValueError(
                    f"{name} is {getattr(self, name)}, in which no whole number of frames lies at "
                    f"{self.fps} a second; expected a wider range"
                )
        limits = self.timeline_range
        needed = limits.action_frames[0] + 2 * limits.gap_frames[0]
        if limits.video_frames[0] < needed:
            raise ValueError(
                f"video_sec begins at {self.video_sec[0]:g}; expected at least "
                f"{needed / self.fps:g}, room for the shortest action between two shortest gaps"
            )
        return self

    @property
    def timeline_range(self) -> TimelineRange:
        """The ranges in frames."""
        return TimelineRange(
            video_frames=self._in_frames(self.video_sec),
            action_frames=self._in_frames(self.action_sec),
            gap_frames=self._in_frames(self.gap_sec),
            overlap_share=self.overlap_share,
        )

    def _in_frames(self, range_sec: tuple[float, float]) -> tuple[int, int]:
        """Fewest and most whole frames whose length lies in a range; at least one."""
        first = math.ceil(range_sec[0] * self.fps - _ROUNDING_FRAMES)
        return max(1, first), math.floor(range_sec[1] * self.fps + _ROUNDING_FRAMES)


@dataclass(frozen=True, slots=True)
class SyntheticSegment:
    """An action in a generated video: a row of a table of annotations, with its column names.

    Exact to the frame: frame ``start_sec * fps`` is the first that the action changes, frame
    ``end_sec * fps`` the first that it leaves as it is.
    """

    video_id: str
    start_sec: float
    end_sec: float
    label: int


@dataclass(frozen=True, slots=True)
class UntrimmedDataset:
    """A generated untrimmed dataset: its settings, its folder, its videos and their actions.

    The class of a video is the one that happens most often in it; of several, the first of them.
    Every video is a group of its own. Segments are ordered by video and start.
    """

    spec: UntrimmedSpec
    folder: Path
    videos: tuple[SyntheticVideo, ...]
    segments: tuple[SyntheticSegment, ...]


@dataclass(frozen=True, slots=True)
class _Slot:
    """One video that the settings ask for."""

    split: str
    index: int

    @property
    def video_id(self) -> str:
        return f"{self.split}_{self.index:04d}"

    @property
    def path(self) -> str:
        return f"videos/{self.split}/{self.video_id}.mp4"


def synthesize_untrimmed(
    spec: UntrimmedSpec,
    folder: Path,
    *,
    progress: Progress | None = None,
    num_workers: int = 2,
) -> UntrimmedDataset:
    """Write a dataset to a folder, keeping the videos that an earlier run finished.

    In a video an object moves over a drifting background, then stands still, then moves in another
    way. It stands as it stopped and goes on from there, so that no single frame tells what happens,
    or whether anything does. Where two actions overlap, it moves in both ways at once.

    A video depends on nothing but the seed, its split and index (and on the settings of one video):
    not on the number of videos or the workers. The classes of videos take turns.

    Args:
        spec: what to generate.
        folder: receives ``spec.json`` and ``videos/<split>/<video_id>.mp4``.
        progress: shows the work.
        num_workers: threads that draw and encode.

    Raises:
        UsageError: the folder holds a dataset made with other settings, or a ``spec.json`` that
            cannot be read.
        VideoError: the encoder fails.
    """
    claim_folder(spec, folder)
    slots = [
        _Slot(split, index) for split, count in spec.num_videos.items() for index in range(count)
    ]
    write_missing(slots, folder, partial(_write, spec), progress or Silent(), num_workers)
    timelines = [_timeline(spec, slot) for slot in slots]
    return UntrimmedDataset(
        spec=spec,
        folder=folder,
        videos=tuple(
            _describe(spec, folder, slot, timeline)
            for slot, timeline in zip(slots, timelines, strict=True)
        ),
        segments=tuple(
            SyntheticSegment(
                slot.video_id,
                action.start_frame / spec.fps,
                action.end_frame / spec.fps,
                spec.classes.index(action.motion),
            )
            for slot, timeline in zip(slots, timelines, strict=True)
            for action in timeline.actions
        ),
    )


def _timeline(spec: UntrimmedSpec, slot: _Slot) -> Timeline:
    main_class = spec.classes[slot.index % len(spec.classes)]
    rng = named_generator("timeline", spec.seed, slot.split, slot.index)
    return sample_timeline(spec.timeline_range, spec.classes, main_class, rng)


def _write(spec: UntrimmedSpec, slot: _Slot, path: Path) -> None:
    timeline = _timeline(spec, slot)
    setting = sample_setting(named_generator("setting", spec.seed, slot.split, slot.index))
    rng = named_generator("untrimmed", spec.seed, slot.split, slot.index)
    trajectory = compose_trajectory(
        timeline.actions, timeline.num_frames, rng, speed=NOMINAL_FPS / spec.fps
    )
    frames = draw_video(trajectory, setting, spec.size, rng)
    encode_h264(frames, path, fps=spec.fps, crf=spec.crf)


def _describe(spec: UntrimmedSpec, folder: Path, slot: _Slot, timeline: Timeline) -> SyntheticVideo:
    counts = Counter(action.motion for action in timeline.actions)
    class_name = counts.most_common(1)[0][0]
    return SyntheticVideo(
        video_id=slot.video_id,
        path=slot.path,
        label=spec.classes.index(class_name),
        class_name=class_name,
        split=slot.split,
        start_sec=0.0,
        end_sec=timeline.num_frames / spec.fps,
        num_frames=timeline.num_frames,
        fps=float(spec.fps),
        width=spec.size,
        height=spec.size,
        group=slot.video_id,
        sha256=hashlib.sha256((folder / slot.path).read_bytes()).hexdigest(),
    )
