"""Reading from threads, spawned and forked processes."""

import multiprocessing
import pickle
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from featkd.cache import ArraySpec, ZarrStore

NUM_ROWS = 32
SPECS = (
    ArraySpec(name="features/a.full", shape=(16, 4, 4), dtype="float16"),
    ArraySpec(name="logits", shape=(), dtype="float32"),
)

FORKED = """
import os, sys
from pathlib import Path
import numpy as np
from featkd.cache import ArraySpec, ZarrStore
from featkd.errors import CacheError

store = ZarrStore.open(Path(sys.argv[1]), resident_array_bytes=int(sys.argv[3]))
rows = [9, 0, 9, 31]
expected = np.load(sys.argv[4])
if sys.argv[2] == "after":
    store.read_rows("features/a.full", [3])
child = os.fork()
assert np.array_equal(store.read_rows("features/a.full", rows), expected[rows])
if child == 0:
    assert np.array_equal(store.read_rows("logits", [5, 5]), [5, 5])
    print("child has read", flush=True)
    if sys.argv[2] == "after":
        try:
            ZarrStore.open_for_writing(store.path).add_layer(
                "more", [ArraySpec(name="more", shape=(), dtype="float32")], {}
            )
        except CacheError as error:
            print(error, flush=True)
    os._exit(0)
_, status = os.waitpid(child, 0)
sys.exit(status)
"""


def values_of(spec: ArraySpec) -> np.ndarray:
    rows = np.arange(NUM_ROWS).reshape(-1, *[1] * len(spec.shape))
    return np.broadcast_to(rows, (NUM_ROWS, *spec.shape)).astype(spec.dtype)


@pytest.fixture(scope="module")
def cache(tmp_path_factory, make_rows):
    path = tmp_path_factory.mktemp("processes") / "cache"
    with ZarrStore.create(path, make_rows(NUM_ROWS), part_rows=8) as store:
        store.add_layer("teacher", SPECS, {})
        for part in range(store.num_parts):
            span = store.part_range(part)
            arrays = {spec.name: values_of(spec)[span.start : span.stop] for spec in SPECS}
            store.write_part("teacher", part, arrays, {}, {})
    return path


def test_pickle__reopens_for_reading(cache):
    with ZarrStore.open_for_writing(cache, resident_array_bytes=7) as store:
        copy = pickle.loads(pickle.dumps(store))  # noqa: S301
        assert (copy.path, copy.resident_array_bytes) == (cache, 7)
        assert copy.read_rows("logits", [3]).tolist() == [3]


def test_spawned_process__reads(cache):
    store = ZarrStore.open(cache)
    store.read_rows("features/a.full", [0])
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        found = pool.apply(store.read_rows, ("features/a.full", [9, 0]))
    assert np.array_equal(found, values_of(SPECS[0])[[9, 0]])


@pytest.mark.skipif(sys.platform == "win32", reason="needs fork")
@pytest.mark.parametrize("resident_array_bytes", [0, 2**20])
@pytest.mark.parametrize("when", ["before", "after"])
def test_forked_process__reads(cache, run_script, tmp_path, when, resident_array_bytes):
    np.save(tmp_path / "expected.npy", values_of(SPECS[0]))
    result = run_script(FORKED, cache, when, resident_array_bytes, tmp_path / "expected.npy")
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[0] == "child has read"
    if when == "after":
        assert "was forked from one that reads or writes caches" in lines[1]


@pytest.mark.skipif(sys.platform == "win32", reason="needs fork")
def test_forked_process__cannot_write_with_its_parents_right(cache, run_script):
    code = """
import os, sys
from pathlib import Path
from featkd.cache import ZarrStore
from featkd.errors import CacheError, CacheLockedError

store = ZarrStore.open_for_writing(Path(sys.argv[1]))
child = os.fork()
if child == 0:
    try:
        store.save_module("cvae", {}, {})
    except CacheError as error:
        print(error, flush=True)
    store.close()
    os._exit(0)
os.waitpid(child, 0)
try:
    ZarrStore.open_for_writing(store.path)
except CacheLockedError:
    print("still locked")
"""
    result = run_script(code, cache)
    assert result.returncode == 0, result.stderr
    assert "cannot write to it" in result.stdout
    assert "still locked" in result.stdout


@pytest.mark.parametrize("resident_array_bytes", [0, 2**20])
def test_threads__read_at_once(cache, resident_array_bytes):
    store = ZarrStore.open(cache, resident_array_bytes=resident_array_bytes)
    expected = values_of(SPECS[0])
    batches = np.random.default_rng(0).integers(0, NUM_ROWS, (40, 6)).tolist()
    with ThreadPoolExecutor(4) as pool:
        found = pool.map(lambda rows: store.read_rows("features/a.full", rows), batches)
        for rows, values in zip(batches, found, strict=True):
            assert np.array_equal(values, expected[rows])


def test_threads__write_different_parts_at_once(tmp_path, make_rows):
    expected = values_of(SPECS[0])
    with ZarrStore.create(tmp_path / "cache", make_rows(NUM_ROWS), part_rows=4) as store:
        store.add_layer("teacher", SPECS[:1], {})

        def write(part: int) -> None:
            span = store.part_range(part)
            arrays = {SPECS[0].name: expected[span.start : span.stop]}
            store.write_part("teacher", part, arrays, {}, {})

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(write, range(store.num_parts)))
        assert np.array_equal(store.read_rows(SPECS[0].name, range(NUM_ROWS)), expected)
