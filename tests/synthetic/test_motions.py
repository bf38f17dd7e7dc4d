import numpy as np
import pytest

from featkd.errors import UsageError
from featkd.synthetic.motions import MIN_FRAMES, MOTIONS, Trajectory, sample_trajectory
from featkd.synthetic.seeding import named_generator

QUANTITIES = ("x", "y", "angle", "diameter", "opacity")


def draw(motion: str, index: int, num_frames: int = 24) -> Trajectory:
    return sample_trajectory(motion, num_frames, named_generator("test", motion, index))


def largest_gap(sample: np.ndarray, reference: np.ndarray) -> float:
    """Kolmogorov-Smirnov distance of two samples."""
    points = np.concatenate([sample, reference])
    below = [
        np.searchsorted(np.sort(s), points, side="right") / len(s) for s in (sample, reference)
    ]
    return float(np.abs(below[0] - below[1]).max())


@pytest.fixture(scope="module")
def poses() -> dict[str, np.ndarray]:
    """Poses (videos, quantities, frames) of every motion."""
    return {
        motion: np.array([[getattr(t, q)[[0, 11, 23]] for q in QUANTITIES] for t in trajectories])
        for motion in MOTIONS
        for trajectories in [[draw(motion, index) for index in range(400)]]
    }


@pytest.mark.parametrize("quantity", QUANTITIES)
@pytest.mark.parametrize("frame", [0, 1, 2])
def test_sample_trajectory__one_frame_does_not_tell_the_motion(poses, quantity, frame):
    column = QUANTITIES.index(quantity)
    for motion in MOTIONS:
        sample = poses[motion][:, column, frame]
        others = [poses[other][:, column, frame] for other in MOTIONS if other != motion]
        # Equal distributions exceed 2.2 / sqrt(n) about once in ten thousand times.
        assert largest_gap(sample, np.concatenate(others)) < 2.2 / np.sqrt(len(sample)), motion


@pytest.mark.parametrize("motion", MOTIONS)
def test_sample_trajectory__equal_generators_differ_in_nothing_but_the_motion(motion):
    ours = sample_trajectory(motion, 24, named_generator("pose"))
    theirs = sample_trajectory("blink", 24, named_generator("pose"))
    for quantity in QUANTITIES:
        assert getattr(ours, quantity)[0] == getattr(theirs, quantity)[0]


@pytest.mark.parametrize(
    ("motion", "moving"),
    [
        ("translate_left", {"x"}),
        ("translate_down", {"y"}),
        ("rotate_clockwise", {"angle"}),
        ("zoom_in", {"diameter"}),
        ("orbit", {"x", "y"}),
        ("bounce", {"y"}),
        ("shake", {"x", "y"}),
        ("blink", {"opacity"}),
    ],
)
def test_sample_trajectory__moves_nothing_else(motion, moving):
    trajectory = draw(motion, 0)
    assert {q for q in QUANTITIES if np.ptp(getattr(trajectory, q)) > 0} == moving


@pytest.mark.parametrize(
    ("motion", "quantity", "sign", "least"),
    [
        ("translate_left", "x", -1, 0.25),
        ("translate_right", "x", 1, 0.25),
        ("translate_up", "y", -1, 0.25),
        ("translate_down", "y", 1, 0.25),
        ("rotate_clockwise", "angle", 1, np.pi / 2),
        ("rotate_counterclockwise", "angle", -1, np.pi / 2),
        ("zoom_in", "diameter", 1, 0.12),
        ("zoom_out", "diameter", -1, 0.12),
    ],
)
def test_sample_trajectory__goes_one_way_and_far_enough(motion, quantity, sign, least):
    for index in range(40):
        steps = sign * np.diff(getattr(draw(motion, index, MIN_FRAMES), quantity))
        assert (steps < 0).sum() <= 2  # where the loop starts again
        assert steps[steps > 0].sum() > least


def test_sample_trajectory__orbit_goes_round():
    for index in range(40):
        orbit = draw("orbit", index, MIN_FRAMES)
        for path in (orbit.x, orbit.y):
            assert np.ptp(path) > 0.1
            assert {-1.0, 1.0} <= set(np.sign(np.diff(path)))


def test_sample_trajectory__bounce_reflects():
    for index in range(40):
        steps = np.diff(draw("bounce", index, MIN_FRAMES).y)
        # An impact turns falling (y grows) into rising at once.
        assert any(
            before > 0.01 and after < -0.01 for before, after in zip(steps, steps[2:], strict=False)
        )
        assert np.abs(steps).sum() > 0.2


def test_sample_trajectory__shake_has_several_periods():
    for index in range(40):
        shake = draw("shake", index, MIN_FRAMES)
        widest = max(shake.x, shake.y, key=np.ptp)
        assert (np.diff(np.sign(np.diff(widest))) != 0).sum() >= 5
        assert np.ptp(widest) < 0.2


def test_sample_trajectory__blink_switches_both_ways():
    for index in range(40):
        switches = np.sign(np.diff(draw("blink", index, MIN_FRAMES).opacity))
        assert {-1.0, 1.0} <= set(switches)


def test_sample_trajectory__rejects_what_it_cannot_draw():
    with pytest.raises(UsageError, match="'fly'"):
        draw("fly", 0)
    with pytest.raises(UsageError, match="15"):
        draw("orbit", 0, num_frames=15)
