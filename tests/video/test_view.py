"""Views: the same everywhere, inside the clip, as the spec says."""

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from featkd.errors import UsageError
from featkd.types import Clip, View
from featkd.video import EvaluationViews, TrainingViews

clips = st.builds(
    Clip,
    video_id=st.text(min_size=1, max_size=8),
    path=st.just(Path("video.mp4")),
    label=st.just(0),
    num_frames=st.integers(1, 400),
    width=st.integers(1, 2000),
    height=st.integers(1, 2000),
    fps=st.just(25.0),
)
training_views = st.builds(
    TrainingViews,
    num_frames=st.integers(1, 70),
    frame_stride=st.integers(1, 8),
    num_views=st.integers(1, 6),
    crop_scales=st.lists(st.floats(0.01, 1.0), min_size=1, max_size=4).map(tuple),
    horizontal_flip=st.booleans(),
)
evaluation_views = st.builds(
    EvaluationViews,
    num_frames=st.integers(1, 70),
    frame_stride=st.integers(1, 8),
    num_clips=st.integers(1, 5),
    num_crops=st.sampled_from([1, 3]),
)
CLIP = Clip("archery/é 1", Path("a.avi"), 0, num_frames=131, width=320, height=240, fps=25.0)


@settings(max_examples=60, deadline=None)
@given(
    views=training_views | evaluation_views, clip=clips, seed=st.integers(0, 2**64), data=st.data()
)
def test_draw__stays_inside_the_clip(views, clip, seed, data):
    view_index = data.draw(st.integers(0, views.num_views - 1))
    view = views.draw(seed=seed, clip=clip, view_index=view_index)
    assert view == views.draw(seed=seed, clip=clip, view_index=view_index)
    assert (view.video_id, view.view_index) == (clip.video_id, view_index)
    assert len(view.frame_indices) == views.num_frames
    assert all(0 <= index < clip.num_frames for index in view.frame_indices)
    following = zip(view.frame_indices, view.frame_indices[1:], strict=False)
    assert all(
        (later - sooner) % clip.num_frames == views.frame_stride % clip.num_frames
        for sooner, later in following
    )
    if clip.num_frames > (views.num_frames - 1) * views.frame_stride:
        assert list(view.frame_indices) == sorted(view.frame_indices)
    else:
        assert view.frame_indices[0] == 0
    left, top, right, bottom = view.crop_box
    assert (right - left) * clip.width == pytest.approx((bottom - top) * clip.height, rel=1e-6)


@settings(max_examples=30, deadline=None)
@given(views=training_views, clip=clips, seed=st.integers(0, 1000))
def test_training_draw__uses_one_of_the_scales(views, clip, seed):
    left, _, right, _ = views.draw(seed=seed, clip=clip, view_index=0).crop_box
    scale = (right - left) * clip.width / min(clip.width, clip.height)
    assert any(scale == pytest.approx(expected, rel=1e-6) for expected in views.crop_scales)


def test_training_draw__differs_between_views_seeds_and_videos():
    views = TrainingViews(num_frames=16)
    other = Clip("b", CLIP.path, 0, num_frames=131, width=320, height=240, fps=25.0)
    drawn = {
        (view.frame_indices, view.crop_box, view.flip)
        for view in (
            views.draw(seed=seed, clip=clip, view_index=view_index)
            for seed in range(5)
            for clip in (CLIP, other)
            for view_index in range(4)
        )
    }
    assert len(drawn) == 40


def test_training_draw__reaches_every_start_scale_and_side():
    views = TrainingViews(num_frames=16, num_views=2000, crop_scales=(1.0, 0.5))
    clip = Clip("c", CLIP.path, 0, num_frames=20, width=320, height=240, fps=25.0)
    drawn = [views.draw(seed=1, clip=clip, view_index=i) for i in range(2000)]
    starts = [view.frame_indices[0] for view in drawn]
    assert [300 < starts.count(start) < 500 for start in range(6)] == [True] * 5 + [False]
    assert 900 < sum(view.flip for view in drawn) < 1100
    half = [view for view in drawn if view.crop_box[3] - view.crop_box[1] < 0.75]
    assert 900 < len(half) < 1100
    tops = [view.crop_box[1] for view in half]
    assert min(tops) < 0.01
    assert max(tops) > 0.49
    assert 0.23 < sum(tops) / len(tops) < 0.27


def test_training_draw__keeps_left_and_right_apart_when_asked():
    views = TrainingViews(horizontal_flip=False, num_views=50)
    assert not any(views.draw(seed=0, clip=CLIP, view_index=i).flip for i in range(50))


def test_training_draw__equals_recorded_view():
    """Caches depend on it: if this fails, every cache made before becomes unreadable."""
    views = TrainingViews(num_frames=4, frame_stride=8)
    assert views.draw(seed=7, clip=CLIP, view_index=2) == RECORDED


def test_training_draw__is_the_same_in_another_process():
    program = (
        "from pathlib import Path; from featkd.types import Clip; "
        "from featkd.video import TrainingViews; "
        "c = Clip('archery/\\u00e9 1', Path('a.avi'), 0, 131, 320, 240, 25.0); "
        "print(ascii(TrainingViews(num_frames=4, frame_stride=8)"
        ".draw(seed=7, clip=c, view_index=2)))"
    )
    printed = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONHASHSEED": "123"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert printed.strip() == ascii(RECORDED)


def test_evaluation_draw__takes_centre():
    view = EvaluationViews(num_frames=31, frame_stride=1).draw(seed=0, clip=CLIP, view_index=0)
    assert view.frame_indices == tuple(range(50, 81))
    assert view.crop_box == (0.125, 0.0, 0.875, 1.0)
    assert not view.flip


def test_evaluation_draw__spreads_stretches_and_crops():
    views = EvaluationViews(num_frames=11, num_clips=4, num_crops=3)
    drawn = [views.draw(seed=0, clip=CLIP, view_index=i) for i in range(views.num_views)]
    assert [view.frame_indices[0] for view in drawn[::3]] == [15, 45, 75, 105]
    assert [view.crop_box for view in drawn[:3]] == [
        (0.0, 0.0, 0.75, 1.0),
        (0.125, 0.0, 0.875, 1.0),
        (0.25, 0.0, 1.0, 1.0),
    ]
    assert len({(view.frame_indices, view.crop_box) for view in drawn}) == 12


def test_evaluation_draw__moves_crops_along_height_of_portrait():
    portrait = Clip("p", CLIP.path, 0, num_frames=10, width=100, height=200, fps=25.0)
    views = EvaluationViews(num_crops=3)
    boxes = [views.draw(seed=0, clip=portrait, view_index=i).crop_box for i in range(3)]
    assert boxes == [(0.0, 0.0, 1.0, 0.5), (0.0, 0.25, 1.0, 0.75), (0.0, 0.5, 1.0, 1.0)]


def test_draw__loops_short_clip():
    short = Clip("s", CLIP.path, 0, num_frames=3, width=10, height=10, fps=25.0)
    for views in (TrainingViews(num_frames=7), EvaluationViews(num_frames=7)):
        assert views.draw(seed=0, clip=short, view_index=0).frame_indices == (0, 1, 2, 0, 1, 2, 0)


@pytest.mark.parametrize("views", [TrainingViews(num_views=3), EvaluationViews(num_crops=3)])
@pytest.mark.parametrize("view_index", [-1, 3])
def test_draw__refuses_view_out_of_range(views, view_index):
    with pytest.raises(UsageError, match="expected 0 to 2"):
        views.draw(seed=0, clip=CLIP, view_index=view_index)


def test_draw__refuses_clip_without_frames():
    empty = Clip("e", CLIP.path, 0, num_frames=0, width=10, height=10, fps=25.0)
    with pytest.raises(UsageError, match="0 frames"):
        TrainingViews().draw(seed=0, clip=empty, view_index=0)


@pytest.mark.parametrize(
    ("spec", "key", "value"),
    [
        (TrainingViews, "num_frames", 0),
        (TrainingViews, "frame_stride", 0),
        (TrainingViews, "num_views", 0),
        (TrainingViews, "crop_scales", ()),
        (TrainingViews, "crop_scales", (0.5, 0.0)),
        (TrainingViews, "crop_scales", (0.5, 1.1)),
        (TrainingViews, "crop_scales", (float("nan"),)),
        (TrainingViews, "unknown", 1),
        (EvaluationViews, "num_frames", 0),
        (EvaluationViews, "frame_stride", 0),
        (EvaluationViews, "num_clips", 0),
        (EvaluationViews, "num_crops", 2),
    ],
)
def test_views__refuse_values_out_of_bounds(spec, key, value):
    with pytest.raises(ValidationError, match=key):
        spec(**{key: value})


RECORDED = View(
    video_id="archery/é 1",
    view_index=2,
    frame_indices=(20, 28, 36, 44),
    crop_box=(0.13507679359677477, 0.12209213880069848, 0.7913267935967747, 0.9970921388006985),
    flip=True,
)


def test_evaluation_draw__ten_clips_of_three_crops_as_the_field_has_them():
    clip = Clip("l", CLIP.path, 0, num_frames=300, width=340, height=256, fps=25.0)
    views = EvaluationViews(num_frames=64, num_clips=10, num_crops=3)
    assert views.num_views == 30
    free = 300 - 64
    for stretch in range(10):
        share = free / 10
        start = int(stretch * share + share / 2)
        for crop, left in enumerate((0, 42, 84)):
            view = views.draw(seed=0, clip=clip, view_index=3 * stretch + crop)
            assert view.frame_indices == tuple(range(start, start + 64))
            pixels = [view.crop_box[0] * 340, view.crop_box[1] * 256]
            pixels += [view.crop_box[2] * 340, view.crop_box[3] * 256]
            assert pixels == pytest.approx([left, 0, left + 256, 256])


@pytest.mark.parametrize(("width", "height"), [(340, 256), (256, 340)])
def test_evaluation_draw__crops_a_part_of_the_shorter_side(width, height):
    clip = Clip("l", CLIP.path, 0, num_frames=10, width=width, height=height, fps=25.0)
    views = EvaluationViews(num_crops=3, crop_scale=0.875)
    boxes = [views.draw(seed=0, clip=clip, view_index=i).crop_box for i in range(3)]
    for box, along in zip(boxes, (0, 58, 116), strict=True):
        left, top = (along, 16) if width > height else (16, along)
        pixels = [box[0] * width, box[1] * height, box[2] * width, box[3] * height]
        assert pixels == pytest.approx([left, top, left + 224, top + 224])


@pytest.mark.parametrize("value", [0.0, 1.1])
def test_evaluation_views__refuse_crop_scale_out_of_bounds(value):
    with pytest.raises(ValidationError, match="crop_scale"):
        EvaluationViews(crop_scale=value)
