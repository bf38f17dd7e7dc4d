"""Drawing a trajectory: an object over a drifting background, with distractors and bars."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8
from numpy import ndarray
from numpy.random import Generator
from PIL import Image, ImageChops, ImageDraw

from featkd.synthetic.motions import DIAMETER, Trajectory
from featkd.synthetic.shapes import SHAPES, draw_sprite, random_colour

_BACKGROUND_CELLS = 7
_BACKGROUND_LUMA = (0.15, 0.35)
_BACKGROUND_SATURATION = 0.5
_BACKGROUND_MARGIN = 0.2
_DISTRACTOR_CHANCE = 0.25
_DISTRACTOR_DIAMETER = (0.07, 0.12)
_BAR_CHANCE = 0.25
_BAR_WIDTH = (0.05, 0.09)
_NOISE_LEVELS = 5


@dataclass(frozen=True, slots=True)
class Setting:
    """What the videos of a group share.

    Attributes:
        texture: colours of the background's control points, 0 to 1.
        shape: family of the object's shape.
    """

    texture: Float[ndarray, "rows columns 3"]
    shape: str


def sample_setting(rng: Generator) -> Setting:
    """Draw the background and the family of shapes of a group."""
    luma = rng.uniform(*_BACKGROUND_LUMA)
    base = luma + _BACKGROUND_SATURATION * (np.array(random_colour((luma, luma), rng)) / 255 - luma)
    grid = (_BACKGROUND_CELLS, _BACKGROUND_CELLS)
    shades = rng.normal(0, 0.04, size=(*grid, 1)) + rng.normal(0, 0.02, size=(*grid, 3))
    return Setting(texture=np.clip(base + shades, 0, 1), shape=str(rng.choice(SHAPES)))


def draw_video(
    trajectory: Trajectory, setting: Setting, size: int, rng: Generator
) -> UInt8[ndarray, "frames {size} {size} 3"]:
    """Draw every frame of a trajectory.

    The background drifts slowly; now and then a small distractor drifts too, or a bar stands in
    front of the object. None of them depends on the trajectory.

    Args:
        trajectory: pose of the object in every frame.
        setting: background and shape family.
        size: height and width, in pixels.
        rng: source of randomness.

    Returns:
        RGB frames.
    """
    num_frames = len(trajectory.x)
    sprite = draw_sprite(
        setting.shape,
        side_px=max(8, round(DIAMETER[1] * size)),
        rng=rng,
    )
    background = _Background(setting, size, num_frames, rng)
    distractor = _Distractor(size, num_frames, rng)
    bar = _draw_bar(size, rng)
    noise = _noise_bank(size, rng)
    noise_offsets = rng.integers(0, size, size=(num_frames, 2))
    video = np.empty((num_frames, size, size, 3), dtype=np.uint8)
    for index in range(num_frames):
        frame = background.draw(index)
        distractor.draw(frame, index)
        _paste(
            frame,
            sprite,
            trajectory.x[index] * size,
            trajectory.y[index] * size,
            trajectory.angle[index],
            trajectory.diameter[index] * size,
            trajectory.opacity[index],
        )
        if bar is not None:
            frame.paste(bar, mask=bar)
        top, left = noise_offsets[index]
        grain = noise[top : top + size, left : left + size]
        video[index] = np.clip(np.asarray(frame, dtype=np.int16) + grain, 0, 255)
    return video


def _paste(
    frame: Image.Image,
    sprite: Image.Image,
    x_px: float,
    y_px: float,
    angle: float,
    diameter_px: float,
    opacity: float,
) -> None:
    """Blend a sprite into a frame, turned, scaled and centred at a sub-pixel position."""
    zoom = sprite.width / diameter_px
    cos, sin = zoom * np.cos(angle), zoom * np.sin(angle)
    centre = sprite.width / 2
    reach = diameter_px / 2 + 1
    left, top = max(0, int(x_px - reach)), max(0, int(y_px - reach))
    right = min(frame.width, int(x_px + reach) + 1)
    bottom = min(frame.height, int(y_px + reach) + 1)
    if right <= left or bottom <= top:
        return
    # Pillow maps pixels of the result to pixels of the sprite: the inverse of the pose.
    x_px, y_px = x_px - left, y_px - top
    inverse = (
        cos,
        sin,
        centre - cos * x_px - sin * y_px,
        -sin,
        cos,
        centre + sin * x_px - cos * y_px,
    )
    posed = sprite.transform(
        (right - left, bottom - top),
        Image.Transform.AFFINE,
        inverse,
        resample=Image.Resampling.BILINEAR,
    )
    mask = posed.getchannel("A")
    if opacity < 1:
        mask = ImageChops.multiply(mask, Image.new("L", mask.size, round(255 * opacity)))
    frame.paste(posed.convert("RGB"), (left, top), mask)


class _Background:
    """A smooth texture, larger than the frame, that slides slowly in a random direction."""

    def __init__(self, setting: Setting, size: int, num_frames: int, rng: Generator) -> None:
        side = round(size * (1 + 2 * _BACKGROUND_MARGIN))
        cells = np.round(setting.texture * 255).astype(np.uint8)
        self._texture = Image.fromarray(cells).resize((side, side), Image.Resampling.BICUBIC)
        self._size = size
        direction, reach = rng.uniform(0, 2 * np.pi), rng.uniform(0, 1)
        progress = reach * (np.arange(num_frames) / (num_frames - 1) - 0.5)
        margin = _BACKGROUND_MARGIN * size
        self._left = margin * (1 + progress * np.cos(direction))
        self._top = margin * (1 + progress * np.sin(direction))

    def draw(self, index: int) -> Image.Image:
        left, top = float(self._left[index]), float(self._top[index])
        return self._texture.transform(
            (self._size, self._size),
            Image.Transform.AFFINE,
            (1, 0, left, 0, 1, top),
            resample=Image.Resampling.BILINEAR,
        )


class _Distractor:
    """A small object that drifts along a line in some videos, whatever their class."""

    def __init__(self, size: int, num_frames: int, rng: Generator) -> None:
        self._present = rng.uniform() < _DISTRACTOR_CHANCE
        self._diameter = rng.uniform(*_DISTRACTOR_DIAMETER) * size
        self._sprite = draw_sprite(
            str(rng.choice(SHAPES)),
            side_px=max(4, round(self._diameter)),
            rng=rng,
        )
        self._angle = rng.uniform(0, 2 * np.pi)
        # Centred in time: the direction of the drift does not show in where the first frame is.
        way = np.arange(num_frames) / num_frames - 0.5
        reach, direction = rng.uniform(0.1, 0.3), rng.uniform(0, 2 * np.pi)
        self._x = (rng.uniform(0.1, 0.9) + reach * way * np.cos(direction)) * size
        self._y = (rng.uniform(0.1, 0.9) + reach * way * np.sin(direction)) * size

    def draw(self, frame: Image.Image, index: int) -> None:
        if self._present:
            x_px, y_px = float(self._x[index]), float(self._y[index])
            _paste(frame, self._sprite, x_px, y_px, self._angle, self._diameter, 1.0)


def _draw_bar(size: int, rng: Generator) -> Image.Image | None:
    """Draw a straight bar across the whole frame, on a transparent image, or nothing."""
    present = rng.uniform() < _BAR_CHANCE
    width = rng.uniform(*_BAR_WIDTH) * size
    direction = rng.uniform(0, np.pi)
    along = size * np.array([np.cos(direction), np.sin(direction)])
    centre = rng.uniform(0.15, 0.85, size=2) * size
    colour = random_colour((0.1, 0.5), rng)
    if not present:
        return None
    supersampling = 2
    bar = Image.new("RGBA", (size * supersampling, size * supersampling), (*colour, 0))
    ends = [tuple(supersampling * (centre + sign * 2 * along)) for sign in (-1, 1)]
    ImageDraw.Draw(bar).line(ends, fill=(*colour, 255), width=round(width * supersampling))
    return bar.resize((size, size), Image.Resampling.BOX)


def _noise_bank(size: int, rng: Generator) -> ndarray:
    """Draw grain (rows, columns, 3) twice as large as a frame; each frame takes another window."""
    grain = rng.integers(-_NOISE_LEVELS, _NOISE_LEVELS + 1, size=(2 * size, 2 * size, 3))
    return grain.astype(np.int16)
