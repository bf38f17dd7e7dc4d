"""Windows of untrimmed videos as clips, and what a network sees of them in training."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, SupportsIndex, overload

import numpy as np
from jaxtyping import Int, UInt8
from pydantic import Field, PositiveFloat, PositiveInt

from featkd.detection.sampling import SAMPLE_FPS, sampled_frames
from featkd.detection.windows import (
    MEAN_GREY,
    AnnotatedVideo,
    TrainingWindow,
    WindowSpec,
    training_windows,
)
from featkd.errors import UsageError
from featkd.manifest import Annotations
from featkd.types import Clip, ClipSequence, Spec, View
from featkd.video import FrameReader, uniform_draws


@dataclass(frozen=True, slots=True)
class WindowClip(Clip):
    """A window of a video: the whole video as a clip, and where in it the window lies.

    Attributes:
        offset: first frame of the window, in sampled frames.
    """

    offset: int = 0

    def whole_video(self) -> Clip:
        """The video as the manifest has it."""
        return Clip(
            video_id=self.video_id.rpartition("@")[0],
            path=self.path,
            label=self.label,
            num_frames=self.num_frames,
            width=self.width,
            height=self.height,
            fps=self.fps,
            start_sec=self.start_sec,
            end_sec=self.end_sec,
        )


class WindowViews(Spec):
    """Windows of untrimmed videos to train on, and views of them; the defaults are AFSD's."""

    num_frames: PositiveInt = 256
    """Length of a window, in sampled frames."""
    sample_fps: PositiveFloat = SAMPLE_FPS
    """Sampled frames per second."""
    stride: PositiveInt = 30
    """From one window to the next, in sampled frames."""
    num_views: PositiveInt = 4
    """Different views of each window; epoch e trains on view e mod ``num_views``."""
    crop_scale: Annotated[float, Field(gt=0, le=1)] = 96 / 112
    """Height and width of the crop as fractions of the frame's; its shape is not kept, as the field
    scales frames to a square before it crops."""
    horizontal_flip: bool = True
    """Mirror every second view on average; false where left and right are different classes."""

    def draw(self, *, seed: int, clip: Clip, view_index: int) -> View:
        """Draw one view of a window: its sampled frames, a random crop, mirrored half the time.

        Args:
            seed: changes every view.
            clip: the window; its file is not opened. Frames it lacks at the end of a short video
                have the index after the video's last, which `padded` shows as grey.
            view_index: which of the ``num_views`` views.

        Raises:
            UsageError: the view index is out of range, the clip is no window, or the window does
                not begin in the video.
        """
        if not 0 <= view_index < self.num_views:
            raise UsageError(
                f"view index of {clip.video_id!r} is {view_index}; expected 0 to "
                f"{self.num_views - 1}"
            )
        x_draw, y_draw, flip_draw, *_ = uniform_draws(seed, clip, view_index)
        left, top = x_draw * (1 - self.crop_scale), y_draw * (1 - self.crop_scale)
        return View(
            video_id=clip.video_id,
            view_index=view_index,
            frame_indices=self.frame_indices(clip),
            crop_box=(
                left,
                top,
                min(1.0, left + self.crop_scale),
                min(1.0, top + self.crop_scale),
            ),
            flip=self.horizontal_flip and flip_draw < 0.5,
        )

    def frame_indices(self, clip: Clip) -> tuple[int, ...]:
        """Frames of the video that a window shows.

        Raises:
            UsageError: the clip is no window, or does not begin in the video.
        """
        if not isinstance(clip, WindowClip):
            raise UsageError(f"clip {clip.video_id!r} is no window of an untrimmed video")
        sampled = _sampled(clip.num_frames, clip.fps, self.sample_fps)
        inside = sampled[clip.offset : clip.offset + self.num_frames]
        if not len(inside):
            raise UsageError(
                f"window {clip.video_id!r} begins at sampled frame {clip.offset}; expected 0 to "
                f"{len(sampled) - 1}"
            )
        missing = (clip.num_frames,) * (self.num_frames - len(inside))
        return (*inside.tolist(), *missing)

    def cutting(self, inference_stride: int) -> WindowSpec:
        """How whole videos are cut."""
        return WindowSpec(
            num_frames=self.num_frames, stride=self.stride, inference_stride=inference_stride
        )


@lru_cache(maxsize=1024)
def _sampled(num_frames: int, fps: float, sample_fps: float) -> Int[np.ndarray, " sampled"]:
    return sampled_frames(num_frames, fps, sample_fps)


class Windows(ClipSequence):
    """The training windows of annotated videos, as clips.

    Args:
        videos: whole videos as clips.
        annotations: of these videos; others are not looked at.
        spec: how they are cut.

    Attributes:
        windows: the annotated window behind each clip.

    Raises:
        UsageError: a video has fewer frames per second than are sampled, or an annotation has no
            length.
    """

    def __init__(self, videos: Iterable[Clip], annotations: Annotations, spec: WindowViews) -> None:
        self.windows: list[TrainingWindow] = []
        self._clips: list[WindowClip] = []
        by_video = dict(iter(annotations.table.groupby("video_id")))
        nothing = annotations.table.iloc[:0]
        cutting = spec.cutting(spec.num_frames)
        for clip in videos:
            if clip.num_frames == 0:
                continue
            video = AnnotatedVideo.of_seconds(
                clip.video_id,
                num_sampled(clip, spec.sample_fps),
                spec.sample_fps,
                by_video.get(clip.video_id, nothing),
            )
            for window in training_windows(video, cutting):
                self.windows.append(window)
                self._clips.append(_window_clip(clip, window.offset))

    def video_ids(self) -> list[str]:
        """The id of every window: its video's, ``@`` and its offset."""
        return [clip.video_id for clip in self._clips]

    def __len__(self) -> int:
        return len(self._clips)

    @overload
    def __getitem__(self, index: SupportsIndex) -> Clip: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Clip]: ...
    def __getitem__(self, index: SupportsIndex | slice) -> Clip | Sequence[Clip]:
        return self._clips[index]


def num_sampled(clip: Clip, sample_fps: float) -> int:
    """Sampled frames of a whole video.

    Raises:
        UsageError: it has fewer frames per second.
    """
    try:
        return len(_sampled(clip.num_frames, clip.fps, sample_fps))
    except UsageError as error:
        raise UsageError(f"video {clip.video_id!r}: {error}") from error


def _window_clip(video: Clip, offset: int) -> WindowClip:
    return WindowClip(
        video_id=f"{video.video_id}@{offset:06d}",
        path=video.path,
        label=video.label,
        num_frames=video.num_frames,
        width=video.width,
        height=video.height,
        fps=video.fps,
        start_sec=video.start_sec,
        end_sec=video.end_sec,
        offset=offset,
    )


def padded(read: FrameReader) -> FrameReader:
    """A reader of windows: of their videos, and from a video's end on `MEAN_GREY`."""

    def read_padded(
        clip: Clip, frame_indices: Sequence[int]
    ) -> UInt8[np.ndarray, "frames height width channels"]:
        inside = [index for index in frame_indices if index < clip.num_frames]
        frames = read(clip.whole_video() if isinstance(clip, WindowClip) else clip, inside)
        if len(inside) == len(frame_indices):
            return frames
        shown = np.full((len(frame_indices), *frames.shape[1:]), MEAN_GREY, dtype=np.uint8)
        shown[[place for place, index in enumerate(frame_indices) if index < clip.num_frames]] = (
            frames
        )
        return shown

    return read_padded
