import numpy as np
import pytest
import torch

from featkd.cache import (
    ArraySpec,
    CachedSignal,
    MemoryStore,
    SignalRequest,
    SignalSource,
    attention_array,
    feature_array,
)
from featkd.errors import CacheIncompleteError, RequirementError
from featkd.types import TapSpec

POOLED = TapSpec("Mixed_5c", "pooled")
FULL = TapSpec("Mixed_5c", "full")


@pytest.fixture
def store(make_rows):
    store = MemoryStore(make_rows(4), part_rows=2)
    store.add_layer(
        "teacher",
        [
            ArraySpec(name="logits", shape=(3,), dtype="float32"),
            ArraySpec(name=feature_array(POOLED), shape=(6,), dtype="float16"),
        ],
        {},
    )
    store.add_layer(
        "attention",
        [ArraySpec(name=attention_array("Mixed_5c"), shape=(6, 2), dtype="float16")],
        {},
    )
    for part in range(2):
        rows = np.arange(2 * part, 2 * part + 2)[:, None]
        arrays = {
            "logits": np.repeat(rows, 3, 1).astype(np.float32),
            "features/Mixed_5c.pooled": np.repeat(rows, 6, 1).astype(np.float16) + 10,
        }
        store.write_part("teacher", part, arrays, {}, {})
    attention = np.full((2, 6, 2), 0.5, np.float16)
    store.write_part("attention", 0, {"attention/Mixed_5c": attention}, {}, {})
    return store


def test_cached_signal__reads_what_was_asked_for(store):
    modules = {"cvae": torch.nn.Linear(1, 1)}
    source = CachedSignal(
        store, logits=True, taps=[POOLED], attention_layers=["Mixed_5c"], modules=modules
    )
    signal = source.signal(SignalRequest(rows=(1, 0, 1)))
    assert signal.logits.tolist() == [[1] * 3, [0] * 3, [1] * 3]
    assert signal.features.keys() == {"Mixed_5c.pooled"}
    assert signal.features["Mixed_5c.pooled"][:, 0].tolist() == [11, 10, 11]
    assert signal.attention["Mixed_5c"].shape == (3, 6, 2)
    assert signal.modules == modules
    for tensor in (signal.logits, *signal.features.values(), *signal.attention.values()):
        assert tensor.dtype == torch.float32
    assert isinstance(source, SignalSource)
    assert not source.needs_clips


def test_cached_signal__reads_nothing_else(store):
    signal = CachedSignal(store, logits=False).signal(SignalRequest(rows=(0,)))
    assert signal.logits is None
    assert signal.features == signal.attention == signal.modules == {}


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        pytest.param(
            {"taps": [POOLED, FULL]},
            r"lacks features/Mixed_5c\.full; run: featkd extract",
            id="tap",
        ),
        pytest.param(
            {"attention_layers": ["Mixed_4f"]},
            r"lacks attention/Mixed_4f; run: featkd represent",
            id="attention",
        ),
        pytest.param(
            {"trajectory": True}, "lacks trajectory; run: featkd extract", id="trajectory"
        ),
    ],
)
def test_cached_signal__says_what_is_missing_and_how_to_get_it(store, wanted, message):
    with pytest.raises(RequirementError, match=message):
        CachedSignal(store, logits=True, **wanted)


def test_cached_signal__needs_logits(make_rows):
    with pytest.raises(RequirementError, match="lacks logits; run: featkd extract"):
        CachedSignal(MemoryStore(make_rows(2)), logits=True)


@pytest.mark.parametrize(("visit", "found"), [(0, 0), (1, 1), (2, 2), (9, 2)])
def test_cached_signal__trajectory_of_a_visit(store, visit, found):
    store.add_layer("trajectory", [ArraySpec(name="trajectory", shape=(3, 4), dtype="float16")], {})
    values = np.arange(2 * 3 * 4, dtype=np.float16).reshape(2, 3, 4)
    values[1, 2] = np.nan
    store.write_stored_part("trajectory", 0, {"trajectory": values}, {}, {}, {})
    source = CachedSignal(store, logits=False, trajectory=True)
    trajectory = source.signal(SignalRequest(rows=(1, 0), visit=visit)).trajectory
    assert trajectory.dtype == torch.float32
    np.testing.assert_array_equal(trajectory.numpy(), values[[1, 0], found])


def test_cached_signal__incomplete_layer(store):
    source = CachedSignal(store, logits=False, attention_layers=["Mixed_5c"])
    with pytest.raises(CacheIncompleteError, match="row 2"):
        source.signal(SignalRequest(rows=(0, 2)))
