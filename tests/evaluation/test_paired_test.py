import itertools
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from featkd.evaluation import sign_flip_p_value

differences = st.lists(st.integers(-20, 20), min_size=2, max_size=7)


@settings(max_examples=50, deadline=None)
@given(differences)
def test_sign_flip_p_value__compare_with_counting(values):
    extreme = total = 0
    for flips in itertools.product((False, True), repeat=len(values)):
        flipped = [-value if flip else value for flip, value in zip(flips, values, strict=True)]
        total += 1
        extreme += abs(sum(flipped)) >= abs(sum(values))
    found = sign_flip_p_value([value / 100 for value in values])
    assert found == pytest.approx(float(Fraction(extreme, total)))


@settings(max_examples=25, deadline=None)
@given(differences)
def test_sign_flip_p_value__knows_no_direction(values):
    scaled = [value / 7 for value in values]
    assert sign_flip_p_value(scaled) == sign_flip_p_value([-value for value in scaled])


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.1, 0.2, 0.1, 0.3, 0.2], 2 / 32),
        ([0.0, 0.0, 0.0], 1.0),
        ([1.0, -1.0], 1.0),
        ([0.3], None),
        ([], None),
    ],
)
def test_sign_flip_p_value__by_hand(values, expected):
    assert sign_flip_p_value(values) == expected


def test_sign_flip_p_value__too_many():
    with pytest.raises(ValueError, match="at most 16"):
        sign_flip_p_value([0.1] * 17)
