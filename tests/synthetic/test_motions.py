import numpy as np
import pytest

from featkd.errors import UsageError
from featkd.synthetic.motions import (
    MIN_FRAMES,
    MOTIONS,
    Action,
    Trajectory,
    compose_trajectory,
    sample_trajectory,
)
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


ACTIONS = (Action("translate_left", 5, 30), Action("zoom_in", 20, 40), Action("bounce", 44, 60))
"""Two that overlap, and one after a gap."""


def composed(index: int = 0, speed: float = 1.0) -> Trajectory:
    return compose_trajectory(ACTIONS, 64, named_generator("composed", index), speed=speed)


@pytest.mark.parametrize(
    ("quantity", "stretch"), [("x", (5, 30)), ("diameter", (20, 40)), ("y", (44, 60))]
)
def test_compose_trajectory__each_action_changes_exactly_its_frames(quantity, stretch):
    for index in range(40):
        changed = np.diff(getattr(composed(index), quantity)) != 0
        assert (np.flatnonzero(changed) + 1).tolist() == list(range(*stretch))


def test_compose_trajectory__stays_still_elsewhere():
    trajectory = composed()
    assert np.ptp(trajectory.angle) == np.ptp(trajectory.opacity) == 0


def test_compose_trajectory__goes_on_where_it_stopped():
    # A rotation with a pause is the rotation without, cut open.
    whole = [Action("rotate_clockwise", 1, 41)]
    halves = [Action("rotate_clockwise", 1, 21), Action("rotate_clockwise", 31, 51)]
    unbroken = compose_trajectory(whole, 41, named_generator("turn")).angle
    paused = compose_trajectory(halves, 51, named_generator("turn")).angle
    np.testing.assert_allclose(paused[:21], unbroken[:21])
    np.testing.assert_allclose(paused[20:31], unbroken[20])
    np.testing.assert_allclose(paused[30:], unbroken[20:])


def test_compose_trajectory__nothing_jumps():
    # Of the motions whose loops close, so that not even a new round is a jump.
    actions = [Action("rotate_clockwise", 5, 30), Action("orbit", 20, 40), Action("shake", 50, 70)]
    for index in range(40):
        trajectory = compose_trajectory(actions, 80, named_generator("closed", index))
        turned = np.abs(np.diff(np.unwrap(trajectory.angle)))
        moved = np.hypot(np.diff(trajectory.x), np.diff(trajectory.y))
        assert turned.max() <= 2 * np.pi / 18
        assert moved[:45].max() <= 0.14 * 2 * np.pi / 11
        assert moved[45:].max() <= 0.1 * 2 * np.pi / 3.5


def test_compose_trajectory__speed_scales_time():
    slow = compose_trajectory([Action("orbit", 1, 61)], 61, named_generator("orbit"), speed=1 / 3)
    fast = compose_trajectory([Action("orbit", 1, 21)], 21, named_generator("orbit"))
    np.testing.assert_allclose(slow.x[::3], fast.x)


def test_compose_trajectory__one_frame_does_not_tell_an_action_from_a_gap():
    poses = np.array([[getattr(composed(i), q)[[35, 42]] for q in QUANTITIES] for i in range(800)])
    for acting, still in zip(poses[:400, :, 0].T, poses[400:, :, 1].T, strict=True):
        assert largest_gap(acting, still) < 2.2 / np.sqrt(400)


@pytest.mark.parametrize(
    ("actions", "message"),
    [
        ([Action("fly", 1, 20)], "'fly'"),
        ([Action("orbit", 0, 20)], "from frame 0 to 20"),
        ([Action("orbit", 5, 65)], "expected frames from 1 to 64"),
        ([Action("orbit", 5, 5)], "the end behind the start"),
        ([Action("zoom_in", 1, 20), Action("zoom_out", 19, 30)], "its clock, zoom, at that time"),
    ],
)
def test_compose_trajectory__rejects(actions, message):
    with pytest.raises(UsageError, match=message):
        compose_trajectory(actions, 64, named_generator("composed"))
