import numpy as np
import pytest

from featkd.synthetic.motions import Trajectory, sample_trajectory
from featkd.synthetic.scene import draw_video, sample_setting
from featkd.synthetic.seeding import named_generator
from featkd.synthetic.shapes import SHAPES, draw_sprite

SIZE = 64


def still(**changed):
    pose = {"x": 0.5, "y": 0.5, "angle": 0.0, "diameter": 0.4, "opacity": 1.0} | changed
    return Trajectory(**{name: np.full(16, value) for name, value in pose.items()})


def luma(trajectory, scene=0):
    """First frame without its background: the same scene drawn with an invisible object."""
    setting = sample_setting(named_generator("setting", scene))
    first, empty = (
        draw_video(t, setting, SIZE, named_generator("scene", scene))[0].mean(axis=-1)
        for t in (trajectory, still(opacity=0.0))
    )
    return np.abs(first - empty)


def centre(difference):
    rows, columns = np.nonzero(difference > 8)
    return np.array([columns.min() + columns.max() + 1, rows.min() + rows.max() + 1]) / 2 / SIZE


@pytest.mark.parametrize(("x", "y"), [(0.3, 0.6), (0.7, 0.4)])
def test_draw_video__object_is_where_the_trajectory_says(x, y):
    offset = centre(luma(still(x=x, y=y))) - centre(luma(still()))
    np.testing.assert_allclose(offset, [x - 0.5, y - 0.5], atol=2 / SIZE)


def test_draw_video__diameter_bounds_the_object():
    for scene in range(4):
        rows, columns = np.nonzero(luma(still(diameter=0.5), scene) > 8)
        assert 0.2 * SIZE < max(np.ptp(rows), np.ptp(columns)) <= 0.5 * SIZE + 2


def test_draw_video__angle_grows_clockwise():
    # A quarter turn clockwise takes what is above the centre to its right.
    upright, turned = luma(still(angle=0.0), 3), luma(still(angle=np.pi / 2), 3)
    clockwise, counterclockwise = np.rot90(upright, -1), np.rot90(upright, 1)
    assert np.abs(turned - clockwise).mean() < 0.3 * np.abs(turned - counterclockwise).mean()


def test_draw_video__opacity_scales_the_contrast():
    solid, faint = luma(still()).sum(), luma(still(opacity=0.4)).sum()
    assert 0.3 < faint / solid < 0.5


def test_draw_video__equal_generators_give_equal_pixels():
    setting = sample_setting(named_generator("setting"))
    trajectory = sample_trajectory("orbit", 16, named_generator("path"))
    one, two = (draw_video(trajectory, setting, SIZE, named_generator("scene")) for _ in range(2))
    np.testing.assert_array_equal(one, two)
    assert one.shape == (16, SIZE, SIZE, 3)
    assert one.dtype == np.uint8


@pytest.mark.parametrize("shape", SHAPES)
def test_draw_sprite__no_turn_maps_it_onto_itself(shape):
    for index in range(5):
        sprite = np.asarray(draw_sprite(shape, 48, named_generator(shape, index)), dtype=float)
        image = sprite[..., :3] * sprite[..., 3:] / 255
        for turns in (1, 2, 3):
            assert np.abs(image - np.rot90(image, turns)).mean() > 0.02 * image.max()
