from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from featkd.detection.windows import (
    AnnotatedVideo,
    WindowSpec,
    cut_window,
    training_windows,
    window_offsets,
)
from featkd.errors import UsageError


def video(num_frames, *annotations):
    segments = np.array([row[:2] for row in annotations], float).reshape(-1, 2)
    labels = np.array([row[2] for row in annotations], dtype=np.int64)
    return AnnotatedVideo("v", num_frames, 10.0, segments, labels)


@pytest.mark.parametrize(
    ("num_frames", "expected"),
    [
        (1, [0]),
        (10, [0]),
        (11, [0, 1]),
        (14, [0, 4]),
        (17, [0, 4, 7]),
    ],
)
def test_window_offsets__by_hand(num_frames, expected):
    assert window_offsets(num_frames, 10, 4) == expected


@given(st.integers(1, 200), st.integers(1, 40), st.integers(1, 40))
def test_window_offsets__reach_the_end(num_frames, window_frames, stride):
    offsets = window_offsets(num_frames, window_frames, stride)

    assert offsets == sorted(set(offsets))
    assert offsets[0] == 0
    assert offsets[-1] == max(0, num_frames - window_frames)
    assert all(later - earlier <= stride for earlier, later in pairwise(offsets))


def test_training_windows__keep_what_is_half_inside():
    spec = WindowSpec(num_frames=10, stride=5)
    windows = training_windows(video(20, (2, 6, 1), (9, 13, 2), (14, 19.5, 3)), spec)

    # The second is cut by the first window at 10 of 9..13; less than half is inside.
    assert [(window.offset, window.labels.tolist()) for window in windows] == [
        (0, [1]),
        (5, [2]),
        (10, [2, 3]),
    ]
    assert windows[1].segments.tolist() == [[4.0, 8.0]]
    assert windows[2].segments.tolist() == [[1.0, 3.0], [4.0, 9.5]]
    assert {window.shortest_action for window in windows} == {2}


def test_training_windows__drop_those_without_a_whole_action():
    assert training_windows(video(30, (3, 28, 1)), WindowSpec(num_frames=10, stride=5)) == []
    assert training_windows(video(30), WindowSpec(num_frames=10)) == []


def slow_windows(annotated, length, stride):
    """One window and one annotation at a time: offset, kept segments, and the shortest length."""
    num_frames, rows = annotated
    shortest, kept_windows, offset = float(length), [], 0
    offsets = []
    while offset + length < num_frames:
        offsets.append(offset)
        offset += stride
    offsets.append(max(0, num_frames - length))
    for offset in offsets:
        kept, whole = [], False
        for start, end in rows:
            inside = (min(offset + length, end) - max(offset + 1, start)) / (end - start)
            whole = whole or inside >= 1
            if inside >= 0.5:
                kept.append([max(start - offset, 1), min(end - offset, length)])
        shortest = min([shortest, *(end - start for start, end in kept)])
        if whole:
            kept_windows.append((offset, kept))
    if num_frames <= length:
        shortest = min([shortest, *(end - start for start, end in rows)])
    return kept_windows, shortest


annotated_videos = st.integers(4, 60).flatmap(
    lambda num_frames: st.tuples(
        st.just(num_frames),
        st.lists(
            st.tuples(st.integers(0, num_frames), st.integers(1, 30)).map(
                lambda row: (row[0], row[0] + row[1])
            ),
            max_size=6,
        ),
    )
)


@settings(max_examples=200, deadline=None)
@given(annotated_videos, st.integers(4, 25), st.integers(1, 12))
def test_training_windows__compare(annotated, length, stride):
    num_frames, rows = annotated

    windows = training_windows(
        video(num_frames, *((*row, 1) for row in rows)),
        WindowSpec(num_frames=length, stride=stride),
    )

    expected, shortest = slow_windows(annotated, length, stride)
    assert [(window.offset, window.segments.tolist()) for window in windows] == expected
    assert all(window.shortest_action == shortest for window in windows)


def test_annotated_video__of_seconds():
    table = pd.DataFrame({"start_sec": [0.5, 2.0], "end_sec": [1.0, 4.0], "label": [0, 2]})

    annotated = AnnotatedVideo.of_seconds("v", 50, 10.0, table)

    assert annotated.segments.tolist() == [[5.0, 10.0], [20.0, 40.0]]
    assert annotated.labels.tolist() == [1, 3]
    assert AnnotatedVideo.of_seconds("v", 50, 10.0, table[:0]).segments.shape == (0, 2)


def test_annotated_video__empty_annotation():
    with pytest.raises(UsageError, match="annotation 1 of video 'v' lasts from frame 5 to 5"):
        video(10, (1, 2, 1), (5, 5, 1))


def test_cut_window__pads_with_grey():
    frames = torch.arange(1.0, 6.0).view(1, 5, 1, 1).expand(2, 5, 3, 3)

    window = cut_window(frames, 2, 6)

    assert window.shape == (2, 6, 3, 3)
    assert window[1, :, 0, 0].tolist() == [3, 4, 5, 0, 0, 0]
    assert cut_window(frames, 1, 3)[0, :, 1, 1].tolist() == [2, 3, 4]
    with pytest.raises(UsageError, match="begins at frame 5; expected 0 to 4"):
        cut_window(frames, 5, 3)
