from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from featkd.synthetic.seeding import named_generator
from featkd.synthetic.timeline import TimelineRange, sample_timeline

CLASSES = ("orbit", "bounce", "zoom_in")


def ranges(low, high):
    return st.tuples(st.integers(low, high), st.integers(0, high)).map(lambda r: (r[0], sum(r)))


@st.composite
def timeline_ranges(draw):
    action, gap = draw(ranges(15, 40)), draw(ranges(1, 20))
    shortest = action[0] + 2 * gap[0]
    extra = draw(ranges(0, 200))
    return TimelineRange(
        video_frames=(shortest + extra[0], shortest + extra[1]),
        action_frames=action,
        gap_frames=gap,
        overlap_share=draw(st.sampled_from([0.0, 0.3, 1.0])),
    )


def sample(limits, index, main_class="bounce"):
    return sample_timeline(limits, CLASSES, main_class, named_generator("timeline", index))


def overlaps(actions):
    return [later.start_frame < earlier.end_frame for earlier, later in pairwise(actions)]


@settings(max_examples=200, deadline=None)
@given(limits=timeline_ranges(), index=st.integers(0, 9999))
def test_sample_timeline__keeps_its_ranges(limits, index):
    timeline = sample(limits, index)
    assert limits.video_frames[0] <= timeline.num_frames <= limits.video_frames[1]
    end = 0
    for number, action in enumerate(timeline.actions):
        length = action.end_frame - action.start_frame
        assert limits.action_frames[0] <= length <= limits.action_frames[1]
        if action.start_frame >= end:
            gap = action.start_frame - end
            assert limits.gap_frames[0] <= gap
            assert number == 0 or gap <= limits.gap_frames[1]
        end = max(end, action.end_frame)
    assert timeline.num_frames - end >= limits.gap_frames[0]


@settings(max_examples=200, deadline=None)
@given(limits=timeline_ranges(), index=st.integers(0, 9999))
def test_sample_timeline__no_more_than_two_overlap_and_they_differ(limits, index):
    actions = sample(limits, index).actions
    joined = overlaps(actions)
    assert not any(one and next_one for one, next_one in pairwise(joined))
    for earlier, later in pairwise(actions):
        assert earlier.start_frame < later.start_frame
        if later.start_frame < earlier.end_frame:
            assert earlier.motion != later.motion
    for one, _, other in zip(actions, actions[1:], actions[2:], strict=False):
        assert other.start_frame >= one.end_frame


@settings(max_examples=100, deadline=None)
@given(limits=timeline_ranges(), index=st.integers(0, 9999), main_class=st.sampled_from(CLASSES))
def test_sample_timeline__main_class_is_the_commonest(limits, index, main_class):
    names = [action.motion for action in sample(limits, index, main_class).actions]
    assert Counter(names).most_common(1)[0][0] == main_class


LIMITS = TimelineRange(
    video_frames=(120, 240), action_frames=(15, 40), gap_frames=(8, 30), overlap_share=0.3
)


@pytest.mark.parametrize(("share", "least", "most"), [(0.0, 0, 0), (0.3, 0.15, 0.3), (1.0, 0.6, 1)])
def test_sample_timeline__overlaps_as_often_as_asked(share, least, most):
    limits = TimelineRange(LIMITS.video_frames, LIMITS.action_frames, LIMITS.gap_frames, share)
    joined = [overlaps(sample(limits, index).actions) for index in range(200)]
    num_joins = sum(map(sum, joined))
    num_after_gap = sum(len(flags) + 1 - sum(flags) for flags in joined)
    assert least <= num_joins / num_after_gap <= most


def test_sample_timeline__fills_the_video():
    for index in range(200):
        timeline = sample(LIMITS, index)
        end = max(action.end_frame for action in timeline.actions)
        still = timeline.actions[0].start_frame + timeline.num_frames - end
        # Another shortest action with its gap would not have found room.
        assert still < 2 * 8 + 15 + 8


def test_sample_timeline__classes_are_as_frequent_as_one_another():
    counts = Counter(
        action.motion
        for index in range(600)
        for action in sample(LIMITS, index, CLASSES[index % len(CLASSES)]).actions
    )
    total = sum(counts.values())
    assert all(abs(counts[name] / total - 1 / 3) < 0.03 for name in CLASSES)
