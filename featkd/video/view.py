"""Which frames and which region of a clip a network sees.

A view is a pure function of (views, seed, clip, view index): the teacher that fills a cache and
every student that is trained on it later draw the very same view, in any process and any order.
"""

from hashlib import blake2b
from typing import Annotated, Literal, Protocol, runtime_checkable

import numpy as np
from pydantic import Field

from featkd.errors import UsageError
from featkd.types import Clip, Spec, View

NumFrames = Annotated[int, Field(ge=1)]
FrameStride = Annotated[int, Field(ge=1)]


@runtime_checkable
class Views(Protocol):
    """How views of a clip are drawn."""

    @property
    def num_views(self) -> int:
        """Views of each clip."""

    def draw(self, *, seed: int, clip: Clip, view_index: int) -> View:
        """Make one view, a pure function of the arguments."""


class TrainingViews(Spec):
    """Random views: a random stretch of the clip, a random square of it, mirrored half the time."""

    num_frames: NumFrames = 64
    """Frames a view has."""
    frame_stride: FrameStride = 1
    """Distance between consecutive frames of a view, in frames of the clip."""
    num_views: Annotated[int, Field(ge=1)] = 4
    """Different views of each clip; epoch e trains on view e mod ``num_views``."""
    crop_scales: Annotated[tuple[Annotated[float, Field(gt=0, le=1)], ...], Field(min_length=1)] = (
        1.0,
        0.875,
        0.75,
        0.66,
    )
    """Sides of the square crop to draw from, as fractions of the clip's shorter side."""
    horizontal_flip: bool = True
    """Mirror every second view on average; false where left and right are different classes."""

    def draw(self, *, seed: int, clip: Clip, view_index: int) -> View:
        """Draw one view.

        Frames are ``start + i * frame_stride`` with a random start; a clip shorter than that plays
        from its first frame and begins again when it ends.

        Args:
            seed: changes every view.
            clip: the clip; its size, length and id are used, its file is not opened.
            view_index: which of the ``num_views`` views.

        Raises:
            UsageError: the view index is out of range, or the clip has no frames or no pixels.
        """
        _check(clip, view_index, self.num_views)
        start_draw, scale_draw, x_draw, y_draw, flip_draw = uniform_draws(seed, clip, view_index)
        span = (self.num_frames - 1) * self.frame_stride + 1
        start = int(start_draw * max(1, clip.num_frames - span + 1))
        scale = self.crop_scales[int(scale_draw * len(self.crop_scales))]
        return View(
            video_id=clip.video_id,
            view_index=view_index,
            frame_indices=_looped(clip, start, self.num_frames, self.frame_stride),
            crop_box=_square(clip, scale, x_draw, y_draw),
            flip=self.horizontal_flip and flip_draw < 0.5,
        )


class EvaluationViews(Spec):
    """Fixed views: stretches spread evenly over the clip, each in one or three square crops.

    One of each is the centre clip. The field's 10 x 3 are ``num_clips`` 10 and ``num_crops`` 3, as
    in Feichtenhofer et al., "SlowFast Networks", ICCV 2019, section 4; stretches lie as in TSN,
    each in the middle of its share.
    """

    num_frames: NumFrames = 64
    """Frames a view has."""
    frame_stride: FrameStride = 1
    """Distance between consecutive frames of a view, in frames of the clip."""
    num_clips: Annotated[int, Field(ge=1)] = 1
    """Stretches per clip, each in the middle of its equal share; 1 is the centre."""
    num_crops: Literal[1, 3] = 1
    """1: the centre square. 3: squares at both ends and the centre of the longer side."""
    crop_scale: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Side of the square as a fraction of the clip's shorter side: 0.875 is the field's crop of 224
    pixels out of frames whose shorter side was scaled to 256."""

    @property
    def num_views(self) -> int:
        """Views of each clip; their predictions are averaged."""
        return self.num_clips * self.num_crops

    def draw(self, *, seed: int, clip: Clip, view_index: int) -> View:  # noqa: ARG002
        """Make one view; crops vary faster than stretches.

        Args:
            seed: unused, since nothing is random; it makes both kinds of views interchangeable.
            clip: the clip; its size, length and id are used, its file is not opened.
            view_index: which of the ``num_views`` views.

        Raises:
            UsageError: the view index is out of range, or the clip has no frames or no pixels.
        """
        _check(clip, view_index, self.num_views)
        stretch_index, crop_index = divmod(view_index, self.num_crops)
        span = (self.num_frames - 1) * self.frame_stride + 1
        free = max(0, clip.num_frames - span)
        along = 0.5 if self.num_crops == 1 else crop_index / 2
        x, y = (along, 0.5) if clip.width >= clip.height else (0.5, along)
        return View(
            video_id=clip.video_id,
            view_index=view_index,
            frame_indices=_looped(
                clip,
                (2 * stretch_index + 1) * free // (2 * self.num_clips),
                self.num_frames,
                self.frame_stride,
            ),
            crop_box=_square(clip, self.crop_scale, x, y),
            flip=False,
        )


def _check(clip: Clip, view_index: int, num_views: int) -> None:
    if not 0 <= view_index < num_views:
        raise UsageError(
            f"view index of {clip.video_id!r} is {view_index}; expected 0 to {num_views - 1}"
        )
    if clip.num_frames < 1 or clip.width < 1 or clip.height < 1:
        raise UsageError(
            f"clip {clip.video_id!r} has {clip.num_frames} frames of {clip.width}x{clip.height} "
            "pixels; expected at least one of each"
        )


def uniform_draws(seed: int, clip: Clip, view_index: int) -> tuple[float, ...]:
    """Five numbers in [0, 1) that depend on the arguments alone.

    Taken from the generator's raw words, whose stream numpy never changes; the streams of its
    distributions may change between versions, and then no cache could be replayed.
    """
    key = blake2b(f"{seed}/{view_index}/{clip.video_id}".encode(), digest_size=16).digest()
    words = np.random.Philox(key=int.from_bytes(key, "little")).random_raw(5)
    return tuple(float(word >> np.uint64(11)) * 2.0**-53 for word in words)


def _looped(clip: Clip, start: int, num_frames: int, frame_stride: int) -> tuple[int, ...]:
    return tuple((start + i * frame_stride) % clip.num_frames for i in range(num_frames))


def _square(clip: Clip, scale: float, x: float, y: float) -> tuple[float, float, float, float]:
    """A square of ``scale`` times the shorter side; x and y in [0, 1] move it within the frame."""
    side = scale * min(clip.width, clip.height)
    width, height = side / clip.width, side / clip.height
    left, top = x * (1.0 - width), y * (1.0 - height)
    return left, top, min(1.0, left + width), min(1.0, top + height)
