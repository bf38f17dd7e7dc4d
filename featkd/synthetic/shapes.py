"""Random objects: a shape with an off-centre mark, so that its rotation shows."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from numpy.random import Generator
from PIL import Image, ImageDraw

Colour = tuple[int, int, int]
Outline = Float[ndarray, "points 2"]

_SUPERSAMPLING = 4
BODY_LUMA = (0.7, 0.9)
MARK_LUMA = (0.0, 0.15)


def random_colour(luma_range: tuple[float, float], rng: Generator) -> Colour:
    """Draw a colour of random hue whose luma lies in a range.

    Args:
        luma_range: lowest and highest luma (ITU-R BT.601 weights), 0 black to 1 white.
        rng: source of randomness.
    """
    weights = np.array([0.299, 0.587, 0.114])
    luma = rng.uniform(*luma_range)
    tint = rng.uniform(-1, 1, size=3)
    tint -= tint @ weights
    # The largest step along the tint that keeps all three channels inside [0, 1].
    room = np.where(tint > 0, 1 - luma, luma) / np.maximum(np.abs(tint), 1e-6)
    red, green, blue = np.clip(luma + tint * room.min() * rng.uniform(0.6, 1.0), 0, 1) * 255
    return int(red), int(green), int(blue)


def _polar(radii: Float[ndarray, " points"], angles: Float[ndarray, " points"]) -> Outline:
    return np.stack([radii * np.cos(angles), radii * np.sin(angles)], axis=1)


def _polygon(rng: Generator) -> Outline:
    corners = int(rng.integers(3, 7))
    angles = 2 * np.pi * (np.arange(corners) + rng.uniform(-0.25, 0.25, corners)) / corners
    return _polar(rng.uniform(0.75, 1.0, corners), angles)


def _ellipse(rng: Generator) -> Outline:
    angles = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    return np.stack([np.cos(angles), rng.uniform(0.5, 0.75) * np.sin(angles)], axis=1)


def _star(rng: Generator) -> Outline:
    tips = int(rng.integers(4, 7))
    radii = np.where(np.arange(2 * tips) % 2, rng.uniform(0.45, 0.6), 1.0)
    return _polar(radii, np.pi * np.arange(2 * tips) / tips)


def _ell(rng: Generator) -> Outline:
    arm, far = rng.uniform(0.45, 0.65), 0.7
    inner = (arm - far, far - arm)
    stem = [(-far, far), (-far, -far), (inner[0], -far)]
    return np.array([*stem, inner, (far, inner[1]), (far, far)])


def _cross(rng: Generator) -> Outline:
    arm, far = rng.uniform(0.25, 0.38), 0.9
    quarter = np.array([(far, -arm), (far, arm), (arm, arm)])
    turn = np.array([(0, 1), (-1, 0)])
    return np.concatenate([quarter @ np.linalg.matrix_power(turn, k) for k in range(4)])


def _drop(rng: Generator) -> Outline:
    angles = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    width = rng.uniform(0.55, 0.75)
    return np.stack([np.cos(angles), width * np.sin(angles) * np.sin(angles / 2)], axis=1)


_OUTLINES: dict[str, Callable[[Generator], Outline]] = {
    "polygon": _polygon,
    "ellipse": _ellipse,
    "star": _star,
    "ell": _ell,
    "cross": _cross,
    "drop": _drop,
}

SHAPES: tuple[str, ...] = tuple(_OUTLINES)
"""Names of the families of shapes."""


def draw_sprite(shape: str, side_px: int, rng: Generator) -> Image.Image:
    """Draw a random bright object on a transparent square, filling the inscribed circle.

    A dark cap and a dot make every orientation look different.

    Args:
        shape: one of `SHAPES`.
        side_px: side of the square, in pixels.
        rng: source of randomness.

    Returns:
        An RGBA image.
    """
    body, mark = random_colour(BODY_LUMA, rng), random_colour(MARK_LUMA, rng)
    side = side_px * _SUPERSAMPLING
    radius = side / 2
    outline = [(radius * (1 + x), radius * (1 + y)) for x, y in _OUTLINES[shape](rng)]
    mask = Image.new("L", (side, side))
    ImageDraw.Draw(mask).polygon(outline, fill=255)
    paint = Image.new("RGB", (side, side), body)
    brush = ImageDraw.Draw(paint)
    # Everything beyond one side of the centre, so that half a turn shows as much as a quarter.
    edge = radius * (1 + rng.uniform(0.1, 0.3))
    brush.rectangle((edge, 0, side, side), fill=mark)
    dot_x, dot_y = radius * 0.75, radius * (1 + rng.choice([-0.3, 0.3]))
    dot = radius * rng.uniform(0.12, 0.18)
    brush.ellipse((dot_x - dot, dot_y - dot, dot_x + dot, dot_y + dot), fill=mark)
    sprite = paint.convert("RGBA")
    sprite.putalpha(mask)
    return sprite.resize((side_px, side_px), Image.Resampling.BOX)
