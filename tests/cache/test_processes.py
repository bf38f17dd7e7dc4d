"""Reading from threads, spawned and forked processes."""

import multiprocessing
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from featkd.cache import ArraySpec, FolderStore
from featkd.errors import CacheError, CacheLockedError

NUM_ROWS = 32
SPECS = (
    ArraySpec(name="features/a.full", shape=(16, 4, 4), dtype="float16"),
    ArraySpec(name="logits", shape=(), dtype="float32"),
)

FORKED = """
import os, sys
from pathlib import Path
import numpy as np
from featkd.cache import ArraySpec, FolderStore
from featkd.errors import CacheError

path = Path(sys.argv[1])
expected = np.load(sys.argv[2])
stores = [FolderStore.open(path, resident_array_bytes=size) for size in (0, 2**20)]

def read(rows):
    for store in stores:
        assert np.array_equal(store.read_rows("features/a.full", rows), expected[rows])

def write(part):
    with FolderStore.open_for_writing(path) as writer:
        writer.add_layer("more", [ArraySpec(name="more", shape=(), dtype="float32")], {})
        writer.write_part("more", part, {"more": np.zeros(8, np.float32)}, {}, {})

for part, moment in enumerate(("before it reads", "after it read", "after it wrote")):
    child = os.fork()
    if child == 0:
        read([9, 0, 9, 31])
        assert np.array_equal(stores[0].read_rows("logits", [5, 5]), [5, 5])
        try:
            write(part)
            print("child reads and writes, forked", moment, flush=True)
        except CacheError as error:
            print("child reads, forked", moment, error, flush=True)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert status == 0, status
    read([3, 1])
    if moment == "after it read":
        write(3)
"""


def values_of(spec: ArraySpec) -> np.ndarray:
    rows = np.arange(NUM_ROWS).reshape(-1, *[1] * len(spec.shape))
    return np.broadcast_to(rows, (NUM_ROWS, *spec.shape)).astype(spec.dtype)


@pytest.fixture(scope="module")
def cache(tmp_path_factory, make_rows):
    path = tmp_path_factory.mktemp("processes") / "cache"
    with FolderStore.create(path, make_rows(NUM_ROWS), part_rows=8) as store:
        store.add_layer("teacher", SPECS, {})
        for part in range(store.num_parts):
            span = store.part_range(part)
            arrays = {spec.name: values_of(spec)[span.start : span.stop] for spec in SPECS}
            store.write_part("teacher", part, arrays, {}, {})
    return path


def test_pickle__reopens_for_reading(cache):
    with FolderStore.open_for_writing(cache, resident_array_bytes=7) as store:
        copy = pickle.loads(pickle.dumps(store))  # noqa: S301
        assert (copy.path, copy.resident_array_bytes) == (cache, 7)
        assert copy.read_rows("logits", [3]).tolist() == [3]


def test_spawned_process__reads(cache):
    store = FolderStore.open(cache)
    store.read_rows("features/a.full", [0])
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        found = pool.apply(store.read_rows, ("features/a.full", [9, 0]))
    assert np.array_equal(found, values_of(SPECS[0])[[9, 0]])


def test_forked_process__reads_and_says_when_it_cannot_write(cache, run_script, tmp_path):
    np.save(tmp_path / "expected.npy", values_of(SPECS[0]))
    result = run_script(FORKED, cache, tmp_path / "expected.npy")
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[:2] == [
        "child reads and writes, forked before it reads",
        "child reads and writes, forked after it read",
    ]
    assert lines[2].startswith("child reads, forked after it wrote process")
    assert "was forked from one that writes caches" in lines[2]


def test_forked_process__has_not_its_parents_right_to_write(cache, monkeypatch):
    store = FolderStore.open_for_writing(cache)
    with monkeypatch.context() as patch:
        patch.setattr("featkd.cache.folder_store.os.getpid", lambda: -1)
        with pytest.raises(CacheError, match="its child -1 cannot write"):
            store.save_module("cvae", {}, {})
        store.close()
    with pytest.raises(CacheLockedError):
        FolderStore.open_for_writing(cache)
    store.close()
    FolderStore.open_for_writing(cache).close()


@pytest.mark.parametrize("resident_array_bytes", [0, 2**20])
def test_threads__read_at_once(cache, resident_array_bytes):
    store = FolderStore.open(cache, resident_array_bytes=resident_array_bytes)
    expected = values_of(SPECS[0])
    batches = np.random.default_rng(0).integers(0, NUM_ROWS, (40, 6)).tolist()
    with ThreadPoolExecutor(4) as pool:
        found = pool.map(lambda rows: store.read_rows("features/a.full", rows), batches)
        for rows, values in zip(batches, found, strict=True):
            assert np.array_equal(values, expected[rows])


def test_threads__write_different_parts_at_once(tmp_path, make_rows):
    expected = values_of(SPECS[0])
    with FolderStore.create(tmp_path / "cache", make_rows(NUM_ROWS), part_rows=4) as store:
        store.add_layer("teacher", SPECS[:1], {})

        def write(part: int) -> None:
            span = store.part_range(part)
            arrays = {SPECS[0].name: expected[span.start : span.stop]}
            store.write_part("teacher", part, arrays, {}, {})

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(write, range(store.num_parts)))
        assert np.array_equal(store.read_rows(SPECS[0].name, range(NUM_ROWS)), expected)
