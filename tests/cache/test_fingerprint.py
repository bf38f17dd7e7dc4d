import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from featkd.cache import Mismatch, compare, require_match, sha256_of_state_dict
from featkd.errors import FingerprintError


def test_compare__equal_whatever_the_order_and_the_sequence():
    cached = {"views.num_views": 2, "teacher.taps": ["a", "b"], "seed": None}
    assert compare(cached, {"seed": None, "teacher.taps": ("a", "b"), "views.num_views": 2}) == []


def test_compare__lists_changed_and_absent_fields():
    cached = {"a": 1, "b": [1, 2], "only_cached": "x"}
    expected = {"a": 1, "b": [2, 1], "only_expected": False}
    assert compare(cached, expected) == [
        Mismatch("b", [1, 2], [2, 1]),
        Mismatch("only_cached", "x", "(absent)"),
        Mismatch("only_expected", "(absent)", False),
    ]


def test_compare__absent_is_not_none():
    assert compare({"seed": None}, {}) == [Mismatch("seed", None, "(absent)")]


def test_require_match__names_cache_field_and_both_values():
    with pytest.raises(FingerprintError) as caught:
        require_match({"teacher.model": "i3d"}, {"teacher.model": "r2d"}, cache="/data/cache")
    assert str(caught.value) == (
        "/data/cache does not fit: teacher.model is 'i3d' in the cache, but 'r2d' is expected"
    )


def test_require_match__names_every_field_but_spells_out_three():
    with pytest.raises(FingerprintError) as caught:
        require_match(dict.fromkeys("abcde", 0), dict.fromkeys("abcde", 1), cache="c")
    message = str(caught.value)
    assert message.count("in the cache") == 3
    assert message.endswith("; and 2 more: d, e")


def test_require_match__passes_equal_ones():
    require_match({"a": 1}, {"a": 1}, cache="c")


STATE = {
    "weight": torch.arange(6, dtype=torch.float32).reshape(2, 3),
    "bias": torch.zeros(2, dtype=torch.bfloat16),
    "num_batches_tracked": torch.tensor(3),
    "empty": torch.empty(0, 4),
}


def test_sha256_of_state_dict__does_not_depend_on_order_or_memory_layout():
    other = dict(reversed(STATE.items()))
    other["weight"] = STATE["weight"].T.contiguous().T
    assert sha256_of_state_dict(other) == sha256_of_state_dict(STATE)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"weight": STATE["weight"].reshape(3, 2)}, id="shape"),
        pytest.param({"weight": STATE["weight"].view(torch.int32)}, id="dtype"),
        pytest.param({"bias": torch.tensor([0.0, 1.0], dtype=torch.bfloat16)}, id="value"),
        pytest.param({"num_batches_tracked": torch.tensor(4)}, id="scalar"),
        pytest.param({"extra": torch.zeros(0)}, id="name"),
    ],
)
def test_sha256_of_state_dict__sees_every_change(change):
    assert sha256_of_state_dict(STATE | change) != sha256_of_state_dict(STATE)


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_sha256_of_state_dict__sees_any_flipped_bit(data):
    bit = data.draw(st.integers(0, STATE["weight"].nbytes * 8 - 1))
    content = STATE["weight"].clone()
    content.view(torch.uint8).view(-1)[bit // 8] ^= 1 << bit % 8
    assert sha256_of_state_dict(STATE | {"weight": content}) != sha256_of_state_dict(STATE)
