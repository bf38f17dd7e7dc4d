from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from featkd.detection.segments import temporal_iou

whole = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 5)), max_size=6)


def array(rows):
    return np.array([[start, start + length] for start, length in rows], float).reshape(-1, 2)


@given(whole, whole)
def test_temporal_iou__compare_with_counting(first, second):
    """Of whole seconds, those in both segments over those in either."""
    found = temporal_iou(array(first), array(second))

    assert found.shape == (len(first), len(second))
    for row, (start, length) in enumerate(first):
        for column, (other_start, other_length) in enumerate(second):
            seconds = set(range(start, start + length))
            others = set(range(other_start, other_start + other_length))
            either = seconds | others
            expected = Fraction(len(seconds & others), len(either)) if either else 0
            assert found[row, column] == pytest.approx(float(expected))
