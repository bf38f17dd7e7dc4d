"""The synthetic action dataset: real encoded videos of moving shapes, from a seed."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pydantic import Field

from featkd.synthetic.claim import claim_folder
from featkd.synthetic.encode import encode_h264
from featkd.synthetic.fields import MotionNames, SplitSizes
from featkd.synthetic.motions import MIN_FRAMES, MOTIONS, sample_trajectory
from featkd.synthetic.scene import draw_video, sample_setting
from featkd.synthetic.seeding import named_generator
from featkd.synthetic.write import write_missing
from featkd.types import Progress, Silent, Spec


class SyntheticSpec(Spec):
    """Everything that decides the pixels of a synthetic dataset."""

    videos_per_class: SplitSizes = Field(default={"train": 60, "val": 20, "test": 20})
    """Split name to number of videos of each class."""
    classes: MotionNames = MOTIONS
    """Motions, in the order of their labels."""
    num_frames: int = Field(default=24, ge=MIN_FRAMES)
    size: int = Field(default=80, ge=16, multiple_of=2)
    """Height and width, in pixels."""
    fps: int = Field(default=24, ge=1)
    crf: int = Field(default=20, ge=0, le=51)
    """x264's constant rate factor: 0 is lossless, 51 is worst."""
    seed: int = 0


@dataclass(frozen=True, slots=True)
class SyntheticVideo:
    """Facts of one generated video: a row of a manifest, with its column names.

    ``path`` is relative to the dataset's folder, with forward slashes. ``group`` names what the
    video shares with others (background, family of shapes); no group crosses a split.
    """

    video_id: str
    path: str
    label: int
    class_name: str
    split: str
    start_sec: float
    end_sec: float
    num_frames: int
    fps: float
    width: int
    height: int
    group: str
    sha256: str


@dataclass(frozen=True, slots=True)
class SyntheticDataset:
    """A generated dataset: its settings, its folder and its videos, split by split."""

    spec: SyntheticSpec
    folder: Path
    videos: tuple[SyntheticVideo, ...]


@dataclass(frozen=True, slots=True)
class _Slot:
    """One video that the settings ask for."""

    split: str
    class_name: str
    index: int

    @property
    def group(self) -> str:
        return f"{self.split}_{self.index:04d}"

    @property
    def video_id(self) -> str:
        return f"{self.split}_{self.class_name}_{self.index:04d}"

    @property
    def path(self) -> str:
        return f"videos/{self.split}/{self.class_name}/{self.video_id}.mp4"


def synthesize(
    spec: SyntheticSpec,
    folder: Path,
    *,
    progress: Progress | None = None,
    num_workers: int = 2,
) -> SyntheticDataset:
    """Write a dataset to a folder, keeping the videos that an earlier run finished.

    A video depends on nothing but the seed, its split, class and index (and on size, length and
    encoder settings): not on the number of videos, the other classes or the workers. Videos of
    equal index in a split share a group, so every background occurs equally often in every class.

    Args:
        spec: what to generate.
        folder: receives ``spec.json`` and ``videos/<split>/<class>/<video_id>.mp4``.
        progress: shows the work.
        num_workers: threads that draw and encode.

    Raises:
        UsageError: the folder holds a dataset made with other settings, or a ``spec.json`` that
            cannot be read.
        VideoError: the encoder fails.
    """
    claim_folder(spec, folder)
    slots = list(_slots(spec))
    write_missing(slots, folder, partial(_write, spec), progress or Silent(), num_workers)
    videos = tuple(_describe(spec, folder, slot) for slot in slots)
    return SyntheticDataset(spec=spec, folder=folder, videos=videos)


def _slots(spec: SyntheticSpec) -> Iterator[_Slot]:
    for split, count in spec.videos_per_class.items():
        for class_name in spec.classes:
            for index in range(count):
                yield _Slot(split, class_name, index)


def _write(spec: SyntheticSpec, slot: _Slot, path: Path) -> None:
    setting = sample_setting(named_generator("setting", spec.seed, slot.split, slot.index))
    rng = named_generator("video", spec.seed, slot.split, slot.class_name, slot.index)
    trajectory = sample_trajectory(slot.class_name, spec.num_frames, rng)
    frames = draw_video(trajectory, setting, spec.size, rng)
    encode_h264(frames, path, fps=spec.fps, crf=spec.crf)


def _describe(spec: SyntheticSpec, folder: Path, slot: _Slot) -> SyntheticVideo:
    return SyntheticVideo(
        video_id=slot.video_id,
        path=slot.path,
        label=spec.classes.index(slot.class_name),
        class_name=slot.class_name,
        split=slot.split,
        start_sec=0.0,
        end_sec=spec.num_frames / spec.fps,
        num_frames=spec.num_frames,
        fps=float(spec.fps),
        width=spec.size,
        height=spec.size,
        group=slot.group,
        sha256=hashlib.sha256((folder / slot.path).read_bytes()).hexdigest(),
    )
