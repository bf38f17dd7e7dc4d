import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from featkd.detection.afsd import Priors
from featkd.detection.afsd.windows import frame_windows, level_windows

distance = st.floats(0.0, 200.0, width=32)


def corners(start, end, length):
    outwards, inwards = max(length / 10, 1), max(length / 4, 1)
    values = (start - outwards, start + inwards, end - inwards, end + outwards)
    return [round(value) for value in values]


def test_frame_windows__known_by_hand():
    segments = torch.tensor([[[100.0, 139.0], [10.0, 11.0]]])
    assert frame_windows(segments).tolist() == [[[96, 110, 129, 143], [9, 11, 10, 12]]]


@settings(max_examples=50, deadline=None)
@given(back=distance, onward=distance, prior=st.integers(0, 29))
def test_level_windows__compare_with_the_rule(back, onward, prior):
    priors = Priors(64, 4)
    level = next(i for i in range(4) if prior < sum(priors.lengths[: i + 1]))
    length, before = priors.lengths[level], sum(priors.lengths[:level])
    cell, stride = prior - before, 64 / length
    expected = corners(cell - back / stride, cell + onward / stride, (back + onward) / stride)
    distances = torch.zeros(1, 30, 2, dtype=torch.float64)
    distances[0, prior] = torch.tensor([back, onward])
    (window,) = level_windows(priors, distances)[0, prior : prior + 1].tolist()
    inside = [min(max(value, 0), length - 1) for value in expected]
    assert window == [value + before for value in inside]
