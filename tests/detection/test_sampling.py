import csv

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from featkd.detection.sampling import sampled_frames
from featkd.errors import UsageError


@settings(deadline=None)
@given(st.integers(0, 300), st.integers(10, 60))
def test_sampled_frames__compare_with_counting(num_frames, fps):
    """Ten times a frame is added; a whole second's worth of tenths makes a sample."""
    kept, filled = [], 0
    for frame in range(num_frames):
        filled += 10
        if filled >= fps:
            filled -= fps
            kept.append(frame)

    assert sampled_frames(num_frames, float(fps)).tolist() == kept


@pytest.mark.parametrize("split", ["val", "test"])
def test_sampled_frames__of_every_video_of_thumos14(shared_data, split):
    path = shared_data / "annotations" / "thumos14" / f"{split}_video_info.csv"
    with path.open() as file:
        rows = list(csv.DictReader(file))

    assert len(rows) == {"val": 200, "test": 212}[split]
    for row in rows:
        frames = sampled_frames(int(float(row["count"])), float(row["fps"]))
        assert len(frames) == int(row["sample_count"]), row["video"]
        assert frames[-1] < int(float(row["count"]))


@pytest.mark.parametrize("fps", [0.0, 9.99, float("inf"), float("nan")])
def test_sampled_frames__wrong_rate(fps):
    with pytest.raises(UsageError, match="cannot be sampled at 10"):
        sampled_frames(100, fps)
