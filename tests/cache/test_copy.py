"""Copies hold the same numbers bit for bit, whatever backend they are made in."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

import numpy as np
import pandas as pd
import pytest
import torch

from featkd.cache import ArraySpec, Backend, FolderStore
from featkd.cache.copy import copy_cache
from featkd.cache.verify import verify
from featkd.errors import CacheError, CacheIncompleteError, StorageFullError

MakeRows = Callable[[int], pd.DataFrame]
Item = TypeVar("Item")

SPECS = (
    ArraySpec(name="logits", shape=(5,), dtype="float32", compression="gzip"),
    ArraySpec(name="features/a.full", shape=(4, 2, 3), dtype="scaled_uint8", compression="gzip"),
    ArraySpec(name="features/b.pooled", shape=(6,), dtype="float8_e4m3", compression="none"),
    ArraySpec(name="frames_crc32", shape=(), dtype="uint32", compression="gzip"),
)
ATTENTION = ArraySpec(name="attention/a", shape=(4, 2), dtype="bfloat16", compression="gzip")
FAILED = {2: "an empty file", 9: "gone"}


def make_cache(path: Path, make_rows: MakeRows, backend: Backend) -> FolderStore:
    """Ten rows in two blocks, two layers, failed rows, modules."""
    generator = np.random.default_rng(0)
    with FolderStore.create(path, make_rows(6), part_rows=4, backend=backend) as store:
        store.add_layer("teacher", SPECS, {"teacher.model": "i3d"})
        store.add_layer("representation", [ATTENTION], {"representation.seed": 3})
        store.add_rows(make_rows(4))
        for part in range(store.num_parts):
            rows = store.part_range(part)
            failures = {row: reason for row, reason in FAILED.items() if row in rows}
            for layer, specs in (("teacher", SPECS), ("representation", (ATTENTION,))):
                arrays = {
                    spec.name: (generator.random((len(rows), *spec.shape)) * 400).astype(
                        "uint32" if spec.dtype == "uint32" else "float32"
                    )
                    for spec in specs
                }
                store.write_part(layer, part, arrays, failures, {"work": part + 0.5})
        store.save_module("cvae", {"w": torch.arange(6.0)}, {"channels": 4})
    (path / "recipe.yaml").write_text("name: tiny\n")
    return FolderStore.open(path)


def stored(store: FolderStore, rows: Iterable[int] | None = None) -> dict[str, bytes]:
    numbers = store.layout.row_numbers().tolist() if rows is None else list(rows)
    return {
        key: values.tobytes()
        for layer in store.layers().values()
        for array in layer.arrays
        for key, values in store.read_stored(array.name, numbers).items()
    }


@pytest.fixture(params=["zarr", "hdf5"])
def source(
    request: pytest.FixtureRequest, tmp_path: Path, make_rows: MakeRows
) -> Iterator[FolderStore]:
    with make_cache(tmp_path / "source", make_rows, request.param) as store:
        yield store


@pytest.mark.parametrize(("backend", "compression"), [("zarr", "none"), ("hdf5", "gzip")])
def test_copy_cache__there_and_back_bit_for_bit(
    source: FolderStore, tmp_path: Path, backend: Backend, compression: str
) -> None:
    with copy_cache(
        source, tmp_path / "copy", backend=backend, compression=compression
    ) as copy:  # fmt: skip
        assert copy.backend == backend
        assert copy.layout == source.layout
        assert stored(copy) == stored(source)
        assert copy.rows.to_json() == source.rows.to_json()
        for name, layer in source.layers().items():
            assert copy.layers()[name].fingerprint == layer.fingerprint
            assert copy.failures(name) == source.failures(name) == FAILED
            assert copy.commit(name, 1).seconds == source.commit(name, 1).seconds
            assert copy.commit(name, 1).codec_errors == source.commit(name, 1).codec_errors
            assert {a.compression for a in copy.layers()[name].arrays} == {compression}
        weights = copy.load_module("cvae").state_dict["w"]
        assert torch.equal(weights, torch.arange(6.0))
        assert (copy.path / "recipe.yaml").read_text() == "name: tiny\n"
        assert verify(copy.path).damages == ()
        with copy_cache(
            copy, tmp_path / "back", backend=source.backend, compression="gzip"
        ) as back:
            assert stored(back) == stored(source)


def test_copy_cache__back_again_makes_equal_files(make_rows: MakeRows, tmp_path: Path) -> None:
    """HDF5 files hold no times, Zarr's neither: the same numbers make the same bytes."""
    with make_cache(tmp_path / "source", make_rows, "hdf5") as source:
        copy = copy_cache(source, tmp_path / "zarr", backend="zarr", compression="gzip")
        back = copy_cache(copy, tmp_path / "back", backend="hdf5", compression="gzip")
        files = source.commit("teacher", 1).files
        changed = {
            name for name, digest in back.commit("teacher", 1).files.items()
            if files[name] != digest
        }  # fmt: skip
    assert all("b.pooled" in name for name in changed)  # was not compressed in the source


def test_copy_cache__some_rows_and_arrays(source: FolderStore, tmp_path: Path) -> None:
    rows = [9, 0, 8, 2, 4]
    arrays = ["features/a.full", "attention/a"]
    with copy_cache(
        source, tmp_path / "copy", backend="hdf5", compression="gzip", arrays=arrays, rows=rows
    ) as copy:
        assert copy.num_rows == 5
        assert list(copy.rows["row"]) == [0, 1, 2, 3, 4]
        table = source.rows.set_index("row")
        assert list(copy.rows["video_id"]) == list(table.loc[rows, "video_id"])
        expected = stored(source, rows)
        assert stored(copy) == {key: expected[key] for key in stored(copy)}
        assert set(stored(copy)) == {"features/a.full", "scales/features/a.full", "attention/a"}
        assert copy.failures("teacher") == {0: "gone", 3: "an empty file"}
        assert copy.module_names() == []
        assert verify(copy.path).damages == ()


def test_copy_cache__stopped_goes_on(
    source: FolderStore, tmp_path: Path, interrupted_after
) -> None:
    path = tmp_path / "copy"
    with interrupted_after(3) as progress:
        copy_cache(source, path, backend="zarr", compression="gzip", progress=progress)
    commits = {file: file.stat().st_ino for file in path.glob("commits/*/*.json")}
    assert len(commits) == 3
    with copy_cache(source, path, backend="zarr", compression="gzip") as copy:
        assert stored(copy) == stored(source)
    assert {file: file.stat().st_ino for file in commits} == commits


def test_copy_cache__full_disk_goes_on(
    source: FolderStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "copy"
    with monkeypatch.context() as patch:

        def full(*_: object) -> None:
            raise OSError(28, "No space left on device")

        patch.setattr("featkd.cache.commit_log.replace_file", full)
        with pytest.raises(StorageFullError, match="run the same command again"):
            copy_cache(source, path, backend="zarr", compression="gzip")
    with copy_cache(source, path, backend="zarr", compression="gzip") as copy:
        assert stored(copy) == stored(source)


def test_copy_cache__of_an_incomplete_cache(source: FolderStore, tmp_path: Path) -> None:
    (source.path / "commits/teacher/000001.json").unlink()
    with FolderStore.open(source.path) as incomplete:
        with copy_cache(incomplete, tmp_path / "copy", backend="zarr", compression="gzip") as copy:
            assert copy.committed_parts("teacher") == {0, 2}
            assert copy.committed_parts("representation") == {0, 1, 2}
        with pytest.raises(CacheIncompleteError, match="lacks some of the rows asked for"):
            copy_cache(
                incomplete, tmp_path / "some", backend="zarr", compression="gzip", rows=[0, 4]
            )


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        pytest.param({"arrays": ["features/c.full"]}, "no array features/c.full", id="array"),
        pytest.param({"rows": [0, 7]}, r"rows \[7\] do not exist", id="row"),
        pytest.param({"rows": []}, "no row of .* is chosen", id="none"),
    ],
)
def test_copy_cache__of_what_is_not_there(
    source: FolderStore, tmp_path: Path, choice: dict[str, list[object]], message: str
) -> None:
    with pytest.raises(CacheError, match=message):
        copy_cache(source, tmp_path / "copy", backend="zarr", compression="gzip", **choice)
    assert not (tmp_path / "copy").exists()


def test_copy_cache__onto_another_cache(
    source: FolderStore, tmp_path: Path, make_rows: MakeRows
) -> None:
    FolderStore.create(tmp_path / "copy", make_rows(3)).close()
    with pytest.raises(CacheError, match="holds another cache; expected a new folder"):
        copy_cache(source, tmp_path / "copy", backend="zarr", compression="gzip")


def test_copy_cache__goes_on_only_with_the_same_rows(source: FolderStore, tmp_path: Path) -> None:
    def copy(rows: list[int]) -> None:
        copy_cache(source, tmp_path / "copy", backend="zarr", compression="gzip", rows=rows).close()

    copy([0, 3])
    copy([0, 3])
    with pytest.raises(CacheError, match="holds another cache"):
        copy([1, 2])  # other views of the same videos


def test_copy_cache__stopped_between_blocks_goes_on(
    source: FolderStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(FolderStore, "add_rows", die)
        with pytest.raises(KeyboardInterrupt):
            copy_cache(source, tmp_path / "copy", backend="zarr", compression="gzip")
    with copy_cache(source, tmp_path / "copy", backend="zarr", compression="gzip") as copy:
        assert stored(copy) == stored(source)


def test_copy_cache__a_disk_that_gives_back_something_else(
    source: FolderStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = FolderStore.write_stored_part

    def spoil(
        store: FolderStore, layer: str, part: int, values: dict[str, np.ndarray], *rest: object
    ) -> None:
        spoilt = {name: array.copy() for name, array in values.items()}
        spoilt[next(iter(spoilt))].view(np.uint8).reshape(-1)[0] ^= 1
        original(store, layer, part, spoilt, *rest)

    monkeypatch.setattr(FolderStore, "write_stored_part", spoil)
    with pytest.raises(CacheError, match="reads back as something else than was written"):
        copy_cache(source, tmp_path / "copy", backend="zarr", compression="gzip")
