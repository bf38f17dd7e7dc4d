import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from featkd.evaluation.axes import epoch_axis, linear_axis, positive_axis

numbers = st.lists(st.floats(-1e6, 1e6, allow_nan=False), min_size=1, max_size=8)
amounts = st.lists(st.floats(1e-12, 1e12), min_size=1, max_size=8)


@settings(max_examples=60, deadline=None)
@given(numbers)
def test_linear_axis__holds_every_value_between_few_ticks(values):
    axis = linear_axis(values, 200.0, 0.0)

    assert all(-0.01 <= axis.place(value) <= 200.01 for value in values)
    assert 2 <= len(axis.ticks) <= 9
    assert (axis.ticks[0].position, axis.ticks[-1].position) == (200.0, 0.0)


def test_linear_axis__writes_fractions_as_percent():
    axis = linear_axis([0.52, 0.97], 0.0, 100.0, unit=0.01)

    assert [tick.label for tick in axis.ticks] == ["50", "60", "70", "80", "90", "100"]
    assert axis.place(0.75) == 50.0


@settings(max_examples=60, deadline=None)
@given(amounts)
def test_positive_axis__holds_every_value_between_few_ticks(values):
    axis = positive_axis(values, 0.0, 300.0)

    assert all(-0.01 <= axis.place(value) <= 300.01 for value in values)
    assert 2 <= len(axis.ticks) <= 10


@pytest.mark.parametrize(
    ("values", "logarithmic", "labels"),
    [
        ([1.0, 30.0], False, ["0", "10", "20", "30"]),
        ([0.3, 40.0], True, ["0.2", "0.5", "1", "2", "5", "10", "20", "50"]),
        ([0.001, 1000.0], True, ["0.001", "0.1", "10", "1000"]),
        ([0.0, 1000.0], False, ["0", "200", "400", "600", "800", "1000"]),
    ],
    ids=["from-zero", "logarithmic", "decades", "zero-forbids-logarithm"],
)
def test_positive_axis__chooses_its_scale(values, logarithmic, labels):
    axis = positive_axis(values, 0.0, 100.0)

    assert axis.logarithmic == logarithmic
    assert [tick.label for tick in axis.ticks] == labels


@pytest.mark.parametrize(
    ("last", "labels"),
    [(1, ["1", "2"]), (4, ["1", "2", "3", "4"]), (14, ["1", "2", "4", "6", "8", "10", "12", "14"])],
)
def test_epoch_axis__whole_epochs(last, labels):
    assert [tick.label for tick in epoch_axis(last, 0.0, 100.0).ticks] == labels
