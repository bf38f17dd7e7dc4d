"""Indexing files by their packets."""

from fractions import Fraction

import pytest

from featkd.errors import VideoOpenError
from featkd.video.frame_index import FrameIndex, index_frames


def test_frame_index__finds_span_and_entry():
    index = FrameIndex(pts=(0, 10, 20, 30, 40), keyframe_pts=(-5, 20), time_base=Fraction(1, 100))
    assert index.span(0.0, None) == range(5)
    assert index.span(0.1, 0.3) == range(1, 3)
    assert index.span(0.11, 0.31) == range(2, 4)
    assert index.entry(1) == (-5, 0)
    assert index.entry(4) == (20, 2)


def test_index_frames__orders_b_frames(write_video):
    index = index_frames(write_video(num_frames=12, options={"bf": "3", "g": "6"}))
    assert [pts * index.time_base * 10 for pts in index.pts] == list(range(12))
    assert [index.pts.index(pts) for pts in index.keyframe_pts] == [0, 6]


def test_index_frames__leaves_out_hidden_frames(write_video):
    index = index_frames(write_video(num_frames=20, hidden_frames=3, options={"g": "10"}))
    assert len(index.pts) == 17
    assert index.keyframe_pts[0] < index.pts[0]


def test_index_frames__refuses_missing_file(tmp_path):
    with pytest.raises(VideoOpenError, match="does not exist"):
        index_frames(tmp_path / "none.mp4")
