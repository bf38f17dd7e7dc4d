import pytest
from hypothesis import given
from hypothesis import strategies as st

from featkd.errors import ModelError
from featkd.representation import build_group_norm


@pytest.mark.parametrize(
    ("channels", "groups"),
    [(1024, 32), (512, 32), (64, 32), (32, 16), (48, 24), (12, 6), (7, 1), (1, 1), (100, 25)],
)
def test_build_group_norm__default_groups(channels, groups):
    assert build_group_norm(channels).num_groups == groups


@given(channels=st.integers(2, 2048))
def test_build_group_norm__two_channels_or_more_in_a_group(channels):
    groups = build_group_norm(channels).num_groups
    assert groups <= 32
    assert channels % groups == 0
    assert channels // groups >= 2


@pytest.mark.parametrize("groups", [5, 0, -1])
def test_build_group_norm__groups_that_do_not_divide(groups):
    with pytest.raises(ModelError, match=rf"{groups}.*12"):
        build_group_norm(12, groups)
