"""Twelve motions that no single frame can tell apart.

Every trajectory holds *all* motions, each at a random phase of its cycle; the class only decides
whose clock runs while the others stand still. Since every phase is uniform on its cycle and stays
so when its clock runs, the pose in any one frame has exactly the same distribution in every class:
only the change between frames carries the label.

Some classes are mirror images or time reversals of one another (left and right, clockwise and
counterclockwise, in and out), so views of these videos must not be flipped.

In an untrimmed video each clock runs for a while and then stands; several may run at once. The
phase stays where it is when a clock stops, so nothing jumps at the ends of an action.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from numpy.random import Generator

from featkd.errors import UsageError

MIN_FRAMES = 16
"""Frames that every motion needs to show itself: a whole cycle, or most of one."""

# Lengths are fractions of the frame's side. They were chosen so that a miniature I3D learns the
# classes from some sixty videos of each.
SLIDE_SPAN = 0.4
ORBIT_RADIUS = (0.11, 0.14)
BOUNCE_HEIGHT = (0.22, 0.28)
SHAKE_AMPLITUDE = (0.07, 0.1)
DIAMETER = (0.26, 0.58)
REACH = 0.38
FAINT_OPACITY = (0.4, 0.5)


@dataclass(frozen=True, slots=True)
class _Clock:
    """Which cycle a motion runs, and in which direction."""

    cycle: str
    direction: int


# Shortest and longest period of each cycle.
_PERIOD_FRAMES = {
    "slide_x": (12.0, 16.0),
    "slide_y": (12.0, 16.0),
    "turn": (18.0, 32.0),
    "zoom": (14.0, 18.0),
    "orbit": (11.0, 15.0),
    "bounce": (9.0, 12.0),
    "shake": (3.5, 5.0),
    "blink": (6.0, 10.0),
}

_CLOCKS = {
    "translate_left": _Clock("slide_x", -1),
    "translate_right": _Clock("slide_x", 1),
    "translate_up": _Clock("slide_y", -1),
    "translate_down": _Clock("slide_y", 1),
    "rotate_clockwise": _Clock("turn", 1),
    "rotate_counterclockwise": _Clock("turn", -1),
    "zoom_in": _Clock("zoom", 1),
    "zoom_out": _Clock("zoom", -1),
    "orbit": _Clock("orbit", 1),
    "bounce": _Clock("bounce", 1),
    "shake": _Clock("shake", 1),
    "blink": _Clock("blink", 1),
}

MOTIONS: tuple[str, ...] = tuple(_CLOCKS)
"""Names of all motions; the position in this tuple is the label when none is left out."""


@dataclass(frozen=True, slots=True)
class Action:
    """A motion and the frames [start_frame, end_frame) in which its clock runs.

    ``start_frame`` is the first frame whose pose this motion has changed since the frame before
    it, ``end_frame`` the first one behind it whose pose it has not.
    """

    motion: str
    start_frame: int
    end_frame: int


@dataclass(frozen=True, slots=True)
class Trajectory:
    """The pose of an object in every frame.

    Attributes:
        x: centre, as a fraction of the frame's width, growing to the right.
        y: centre, as a fraction of the frame's height, growing downwards.
        angle: radians, growing clockwise as seen on the screen.
        diameter: of the circle around the object, as a fraction of the frame's width.
        opacity: 0 is invisible, 1 hides the background.
    """

    x: Float[ndarray, " frames"]
    y: Float[ndarray, " frames"]
    angle: Float[ndarray, " frames"]
    diameter: Float[ndarray, " frames"]
    opacity: Float[ndarray, " frames"]


def sample_trajectory(motion: str, num_frames: int, rng: Generator) -> Trajectory:
    """Draw a random trajectory of a motion.

    Sliding and zooming run in a loop: at the end of their span they start again at its beginning.
    Periods are in frames: a slide crosses 0.4 of the frame in 12 to 16, a turn takes 18 to 32, a
    zoom more than doubles the diameter in 14 to 18, an orbit takes 11 to 15, a bounce 9 to 12, a
    shake 3.5 to 5, a blink 6 to 10.

    Args:
        motion: one of `MOTIONS`.
        num_frames: length, at least `MIN_FRAMES`.
        rng: consumed by the same number of draws for every motion, so that equal generators give
            trajectories that differ in nothing but the motion.

    Raises:
        UsageError: the motion is unknown or ``num_frames`` is less than `MIN_FRAMES`.
    """
    if num_frames < MIN_FRAMES:
        raise UsageError(f"num_frames is {num_frames}; motions need at least {MIN_FRAMES}")
    return compose_trajectory([Action(motion, 1, num_frames)], num_frames, rng)


def compose_trajectory(
    actions: Sequence[Action], num_frames: int, rng: Generator, *, speed: float = 1.0
) -> Trajectory:
    """Draw a random trajectory in which every action runs its clock; elsewhere all stand still.

    Args:
        actions: in any order; those that overlap must run different clocks.
        num_frames: length of the trajectory.
        rng: consumed by the same number of draws whatever the actions.
        speed: how fast all clocks run, relative to the periods of `sample_trajectory`.

    Raises:
        UsageError: a motion is unknown, an action has no frame or leaves the frames 1 to
            ``num_frames``, or two run one clock at the same time.
    """
    ticks = _count_ticks(actions, num_frames)
    phase = {}
    for cycle, period_range in _PERIOD_FRAMES.items():
        start, period = rng.uniform(), rng.uniform(*period_range)
        phase[cycle] = np.mod(start + 1.0 / period * (speed * ticks[cycle]), 1.0)

    orbit_radius, orbit_direction = rng.uniform(*ORBIT_RADIUS), rng.choice([-1.0, 1.0])
    orbit_angle = 2 * np.pi * orbit_direction * phase["orbit"]
    # A parabola between two impacts: height 0 at phase 0 and 1, 1 half-way.
    bounce_height = 4 * phase["bounce"] * (1 - phase["bounce"])
    bounce = rng.uniform(*BOUNCE_HEIGHT) * (0.5 - bounce_height)
    shake_axis = rng.uniform(0, np.pi)
    shake = rng.uniform(*SHAKE_AMPLITUDE) * np.sin(2 * np.pi * phase["shake"])
    faint = rng.uniform(*FAINT_OPACITY)
    small, large = DIAMETER
    x = SLIDE_SPAN * (phase["slide_x"] - 0.5) + orbit_radius * np.cos(orbit_angle)
    y = SLIDE_SPAN * (phase["slide_y"] - 0.5) + orbit_radius * np.sin(orbit_angle)
    return Trajectory(
        x=_keep_inside(x + shake * np.cos(shake_axis)),
        y=_keep_inside(y + shake * np.sin(shake_axis) + bounce),
        angle=2 * np.pi * phase["turn"],
        diameter=small * (large / small) ** phase["zoom"],
        opacity=np.where(phase["blink"] < 0.5, 1.0, faint),
    )


def clock_of(motion: str) -> str:
    """Name of the clock that a motion runs: ``slide_x`` of left and right alike.

    Raises:
        UsageError: the motion is unknown.
    """
    if motion not in _CLOCKS:
        raise UsageError(f"motion is {motion!r}; expected one of {', '.join(MOTIONS)}")
    return _CLOCKS[motion].cycle


def _count_ticks(
    actions: Sequence[Action], num_frames: int
) -> dict[str, Float[ndarray, " frames"]]:
    """How far each clock has run at every frame: one tick a frame, backwards ones below zero."""
    steps = {cycle: np.zeros(num_frames) for cycle in _PERIOD_FRAMES}
    for action in actions:
        cycle = clock_of(action.motion)
        if not 1 <= action.start_frame < action.end_frame <= num_frames:
            raise UsageError(
                f"{action.motion} lasts from frame {action.start_frame} to {action.end_frame}; "
                f"expected frames from 1 to {num_frames}, the end behind the start"
            )
        running = steps[cycle][action.start_frame : action.end_frame]
        if running.any():
            raise UsageError(
                f"{action.motion} lasts from frame {action.start_frame} to {action.end_frame}, but "
                f"another action runs its clock, {cycle}, at that time; expected one at a time"
            )
        running += _CLOCKS[action.motion].direction
    return {cycle: np.cumsum(step) for cycle, step in steps.items()}


def _keep_inside(offset: Float[ndarray, " frames"]) -> Float[ndarray, " frames"]:
    """Bend an offset from the frame's centre so that it never exceeds ``REACH``."""
    return 0.5 + REACH * np.tanh(offset / REACH)
