"""Flow in 8 bits, and in a mirror."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from featkd.types import View
from featkd.video import mirrored, quantise_flow, render


@given(st.lists(st.floats(-1000, 1000, width=32), min_size=1, max_size=20))
def test_quantise_flow__matches_slow_rounding(values):
    expected = []
    for value in values:
        clipped = min(max(value, -20.0), 20.0)
        expected.append(round(255 * (clipped + 20) / 40))  # Python too rounds a half to even
    assert quantise_flow(np.array(values, np.float32)).tolist() == expected


def test_quantise_flow__rests_at_128_and_clips():
    assert quantise_flow(np.array([0.0, -0.0, 20.0, 99.0, -20.0, -99.0])).tolist() == [
        128, 128, 255, 255, 0, 0,
    ]  # fmt: skip


@given(st.floats(-20, 20))
def test_quantise_flow__is_half_a_step_off_at_most(value):
    (pixel,) = quantise_flow(np.array([value])).tolist()
    assert abs(40 * pixel / 255 - 20 - value) <= 20 / 255 + 1e-9


@given(st.floats(-25, 25))
def test_mirrored__is_what_the_negated_flow_quantises_to(value):
    flow = np.zeros((1, 1, 1, 2), np.uint8)
    flow[..., 0] = quantise_flow(np.array([value]))
    negated = int(quantise_flow(np.array([-value]))[0])
    # 127.5 is no pixel: at rest, one of two neighbours stands for it.
    assert abs(int(mirrored(flow)[0, 0, 0, 0]) - negated) <= 1


def random_flow(*shape):
    return np.random.default_rng(0).integers(0, 256, (*shape, 2), dtype=np.uint8)


def test_mirrored__exchanges_sides_and_turns_x_around():
    flow = random_flow(2, 3, 4)
    seen = mirrored(flow)
    for time in range(2):
        for row in range(3):
            for column in range(4):
                x, y = flow[time, row, 3 - column].tolist()
                assert seen[time, row, column].tolist() == [255 - x, y]
    np.testing.assert_array_equal(mirrored(seen), flow)


def test_mirrored__leaves_colours():
    frames = np.random.default_rng(1).integers(0, 256, (2, 3, 4, 3), dtype=np.uint8)
    np.testing.assert_array_equal(mirrored(frames), frames[:, :, ::-1])


def test_render__scales_each_direction_by_itself():
    flow = random_flow(2, 30, 50)
    view = View("v", 0, (0, 1), (0.1, 0.2, 0.7, 0.9), flip=False)
    rendered = render(flow, view, 16)
    assert rendered.shape == (2, 2, 16, 16)
    grey = np.concatenate([flow, flow[..., :1]], axis=3)
    np.testing.assert_array_equal(rendered.numpy(), render(grey, view, 16)[:2].numpy())


@pytest.mark.parametrize("size", [8, 40])
def test_render__mirrors_flow(size):
    flow = random_flow(2, 30, 50)
    plain, flipped = (
        render(flow, View("v", 0, (0, 1), (0.1, 0.2, 0.7, 0.9), flip=flip), size)
        for flip in (False, True)
    )
    np.testing.assert_array_equal(flipped[0].numpy(), 255 - plain[0].flip(-1).numpy())
    np.testing.assert_array_equal(flipped[1].numpy(), plain[1].flip(-1).numpy())
