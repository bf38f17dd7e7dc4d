"""Placing frames in time."""

from fractions import Fraction

import pytest

from featkd.video.timeline import Timeline, elapsed_sec


def times(stamps, *, fps=10, time_base=Fraction(1, 10)):
    timeline = Timeline(time_base=time_base, fps=Fraction(fps))
    return [timeline.place(pts) for pts in stamps]


@pytest.mark.parametrize(
    ("stamps", "expected"),
    [
        pytest.param([0, 1, 2], [0.0, 0.1, 0.2], id="even"),
        pytest.param([7, 8, 12], [0.0, 0.1, 0.5], id="late_start_uneven"),
        pytest.param([-3, -2], [0.0, 0.1], id="negative"),
        pytest.param([None, None, None], [0.0, 0.1, 0.2], id="missing"),
        pytest.param([None, 5, 6], [0.0, 0.1, 0.2], id="first_missing"),
        pytest.param([0, 1, None, 3], [0.0, 0.1, 0.2, 0.3], id="one_missing"),
        pytest.param([0, 1, 1, 3], [0.0, 0.1, 0.2, 0.3], id="repeated"),
    ],
)
def test_timeline__places_frames(stamps, expected):
    assert times(stamps) == pytest.approx(expected)


def test_timeline__always_rises():
    placed = times([1, 4, 3, 5, 7, 6, 9, 8])
    assert placed == sorted(set(placed))


def test_elapsed_sec__is_the_nearest_float():
    assert elapsed_sec(10 + 3 * 512, 10, Fraction(1, 5120)) == 0.3
