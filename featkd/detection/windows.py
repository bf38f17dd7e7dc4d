"""Windows: stretches of an untrimmed video that are as long as a network sees at once."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int, Shaped
from pydantic import PositiveInt
from torch import Tensor
from torch.nn import functional as F

from featkd.errors import UsageError
from featkd.spec import Spec

KEPT_SHARE = 0.5
WHOLE = 1.0
MEAN_GREY = 128
"""What frames show that a video does not have; of flow, standing still."""


class WindowSpec(Spec):
    """How a video is cut into windows; the defaults are AFSD's on THUMOS14."""

    num_frames: PositiveInt = 256
    """Length of a window, in sampled frames."""
    stride: PositiveInt = 30
    """From one training window to the next, in sampled frames."""
    inference_stride: PositiveInt = 128
    """From one window to the next where a whole video is looked at."""


@dataclass(frozen=True, eq=False)
class AnnotatedVideo:
    """An untrimmed video and what happens in it.

    Attributes:
        video_id: its name.
        num_frames: sampled frames.
        sample_fps: sampled frames per second.
        segments: start and end of each annotation, in sampled frames.
        labels: class of each; 0 is background and no annotation's.
    """

    video_id: str
    num_frames: int
    sample_fps: float
    segments: Float[np.ndarray, "annotations 2"]
    labels: Int[np.ndarray, " annotations"]

    def __post_init__(self) -> None:
        empty = np.flatnonzero(self.segments[:, 0] >= self.segments[:, 1])
        if len(empty):
            start, end = self.segments[empty[0]]
            raise UsageError(
                f"annotation {empty[0]} of video {self.video_id!r} lasts from frame {start:g} to "
                f"{end:g}; expected start < end"
            )

    @classmethod
    def of_seconds(
        cls, video_id: str, num_frames: int, sample_fps: float, annotations: pd.DataFrame
    ) -> "AnnotatedVideo":
        """A video whose annotations are rows of a table of seconds.

        Args:
            video_id: its name.
            num_frames: sampled frames.
            sample_fps: sampled frames per second.
            annotations: of this video, with the columns ``start_sec``, ``end_sec`` and ``label``,
                which counts the classes from 0.

        Raises:
            UsageError: an annotation has no length.
        """
        segments = annotations[["start_sec", "end_sec"]].to_numpy(float) * sample_fps
        labels = annotations["label"].to_numpy(np.int64) + 1
        return cls(video_id, num_frames, sample_fps, segments, labels)


@dataclass(frozen=True, eq=False)
class TrainingWindow:
    """A window that has at least one whole annotation.

    Attributes:
        video_id: the video's name.
        offset: first frame of the window, in sampled frames.
        segments: annotations of which at least half is in the window, cut at its ends; in frames
            from 1 to the window's length.
        labels: class of each.
        shortest_action: length of the shortest annotation in any window of the video, at most a
            window, rounded up; frames.
    """

    video_id: str
    offset: int
    segments: Float[np.ndarray, "annotations 2"]
    labels: Int[np.ndarray, " annotations"]
    shortest_action: int


def window_offsets(num_frames: int, window_frames: int, stride: int) -> list[int]:
    """First frames of the windows of a video: every stride, and one that ends where it ends.

    A video that is no longer than a window has one window.

    Args:
        num_frames: length of the video.
        window_frames: length of a window.
        stride: from one window to the next.
    """
    last = num_frames - window_frames
    if last <= 0:
        return [0]
    offsets = list(range(0, last + 1, stride))
    return offsets if offsets[-1] == last else [*offsets, last]


def training_windows(video: AnnotatedVideo, spec: WindowSpec) -> list[TrainingWindow]:
    """Windows of a video to train on: those with a whole annotation, by AFSD's rule.

    Frames are counted from 1 here, the last one included, as AFSD counts them: an annotation from
    a to b lies wholly in the window at offset o if ``a >= o + 1`` and ``b <= o + length``.
    """
    windows = list(_cut(video, spec))
    lengths = [np.diff(window.segments)[:, 0] for window in windows]
    if video.num_frames <= spec.num_frames:
        lengths.append(np.diff(video.segments)[:, 0])
    shortest = math.ceil(np.concatenate(lengths).min(initial=float(spec.num_frames)))
    return [
        TrainingWindow(video.video_id, window.offset, window.segments, window.labels, shortest)
        for window in windows
        if window.has_whole
    ]


class _Window(NamedTuple):
    """A window and the annotations that are kept in it; whether one of them is whole."""

    offset: int
    segments: Float[np.ndarray, "kept 2"]
    labels: Int[np.ndarray, " kept"]
    has_whole: bool


def _cut(video: AnnotatedVideo, spec: WindowSpec) -> Iterator[_Window]:
    starts, ends = video.segments[:, 0], video.segments[:, 1]
    for offset in window_offsets(video.num_frames, spec.num_frames, spec.stride):
        inside = np.minimum(offset + spec.num_frames, ends) - np.maximum(offset + 1, starts)
        share = inside / (ends - starts)
        kept = share >= KEPT_SHARE
        segments = (video.segments[kept] - offset).clip(1.0, float(spec.num_frames))
        yield _Window(offset, segments, video.labels[kept], bool((share >= WHOLE).any()))


def cut_window(
    frames: Shaped[Tensor, "channels time height width"], offset: int, window_frames: int
) -> Shaped[Tensor, "channels window height width"]:
    """Cut a window out of frames; what a short video lacks is grey, at its end.

    Grey is 0 in normalised frames and `MEAN_GREY` in pixels.

    Args:
        frames: all sampled frames of the video, normalised, or pixels of 8 bits.
        offset: first frame of the window.
        window_frames: its length.

    Raises:
        UsageError: the window does not begin in the video.
    """
    num_frames = frames.shape[1]
    if not 0 <= offset < num_frames:
        raise UsageError(f"a window begins at frame {offset}; expected 0 to {num_frames - 1}")
    window = frames[:, offset : offset + window_frames]
    missing = window_frames - window.shape[1]
    grey = MEAN_GREY if frames.dtype == torch.uint8 else 0
    return F.pad(window, (0, 0, 0, 0, 0, missing), value=grey) if missing else window
