"""Caches of every version stay readable, and a stranger can read them with the document alone."""

import hashlib
import importlib.util
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest
import zarr

from featkd.cache import FolderStore
from featkd.cache.verify import verify

ROWS = [0, 1, 2, 3, 4, 6, 7]


def _fixture_maker() -> ModuleType:
    path = Path(__file__).with_name("make_format_fixture.py")
    spec = importlib.util.spec_from_file_location("make_format_fixture", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


MAKER = _fixture_maker()
ARRAYS, FAILED_ROW, FOLDER = MAKER.ARRAYS, MAKER.FAILED_ROW, MAKER.FOLDER
make, values = MAKER.make, MAKER.row_values


@pytest.mark.parametrize("backend", ["zarr", "hdf5"])
def test_format_2__stays_readable(backend: str, tmp_path: Path) -> None:
    shutil.copytree(FOLDER / backend, tmp_path / "cache")
    assert verify(tmp_path / "cache").damages == ()
    with FolderStore.open(tmp_path / "cache") as store:
        assert store.rows["row"].tolist() == ROWS
        assert store.failures("teacher") == {FAILED_ROW: "the file is damaged"}
        assert store.load_module("classifier").arguments == {"num_classes": 4}
        readable = [row for row in ROWS if row != FAILED_ROW]
        for array in ARRAYS:
            expected = np.stack([values(array, row) for row in readable])
            assert np.array_equal(store.read_rows(array.name, readable).float(), expected)


@pytest.mark.parametrize("backend", ["zarr", "hdf5"])
def test_format_2__is_still_what_is_written(backend: str, tmp_path: Path) -> None:
    make(tmp_path / "new", backend)
    old, new = FOLDER / backend, tmp_path / "new"
    names = {path.relative_to(old) for path in old.rglob("*") if path.is_file()}
    assert names == {path.relative_to(new) for path in new.rglob("*") if path.is_file()}


class Stranger:
    """A reader written from docs/cache-format.md; it imports nothing of featkd."""

    def __init__(self, cache: Path) -> None:
        self.cache = cache
        self.header = self.unseal(cache / "featkd.json")
        assert self.header["format"] == "featkd-cache/2"

    @staticmethod
    def unseal(path: Path) -> dict[str, Any]:
        data = path.read_bytes()
        content: dict[str, Any] = json.loads(data)
        blank = re.sub(rb"[0-9a-f]{64}", b"0" * 64, data, count=1)
        assert hashlib.sha256(blank).hexdigest() == content["sha256"]
        return content

    def table(self) -> pd.DataFrame:
        blocks = []
        for number, block in enumerate(self.header["blocks"]):
            path = self.cache / "rows" / f"{number}.parquet"
            assert hashlib.sha256(path.read_bytes()).hexdigest() == block["sha256"]
            blocks.append(pd.read_parquet(path))
        return pd.concat(blocks)

    def readable_rows(self, layer: str) -> list[int]:
        rows = []
        for path in sorted((self.cache / "commits" / layer).glob("*.json")):
            record = self.unseal(path)
            for file, digest in record["files"].items():
                data = (self.cache / file).read_bytes()
                assert len(data) == digest["num_bytes"]
                assert hashlib.sha256(data).hexdigest() == digest["sha256"]
            span = range(record["start_row"], record["stop_row"])
            rows += [row for row in span if str(row) not in record["failures"]]
        return rows

    def read(self, array: dict[str, Any], stored: dict[str, Any]) -> np.ndarray:
        name, dtype = array["name"], array["dtype"]
        raw = stored[name]
        if dtype == "bfloat16":
            return (raw.astype(np.uint32) << 16).view(np.float32)
        if dtype == "float8_e5m2":
            return (raw.astype(np.uint16) << 8).view(np.float16).astype(np.float32)
        if dtype == "float8_e4m3":
            sign = np.where(raw & 0x80, -1.0, 1.0)
            exponent = ((raw >> 3) & 0xF).astype(int)
            mantissa = (raw & 7) / 8
            normal = (1 + mantissa) * 2.0 ** (exponent - 7)
            return sign * np.where(exponent == 0, mantissa * 2.0**-6, normal)
        if dtype == "scaled_uint8":
            scales = stored[f"scales/{name}"]
            axes = (1,) * (raw.ndim - 2)
            offset, step = (scales[..., i].reshape(*scales.shape[:2], *axes) for i in (0, 1))
            return offset + raw * step
        return raw.astype(np.float64)


def check(stranger: Stranger, stored: dict[str, np.ndarray]) -> None:
    assert stranger.table()["row"].tolist() == ROWS
    readable = stranger.readable_rows("teacher")
    assert readable == [row for row in ROWS if row != FAILED_ROW]
    arrays = stranger.header["layers"]["teacher"]["arrays"]
    assert len(arrays) == len(ARRAYS)
    for array, spec in zip(arrays, ARRAYS, strict=True):
        rows = {name: values[readable] for name, values in stored.items()}
        expected = np.stack([values(spec, row) for row in readable])
        assert np.array_equal(stranger.read(array, rows), expected), spec.name


def test_stranger__reads_zarr() -> None:
    stranger = Stranger(FOLDER / "zarr")
    group = zarr.open_group(FOLDER / "zarr", mode="r")
    names = [f"{array.name}" for array in ARRAYS] + ["scales/features/e.full"]
    check(stranger, {name: np.asarray(group[f"arrays/{name}"][:]) for name in names})


PLAIN_H5PY = """
import sys
import h5py
import numpy as np

found = {}
with h5py.File(sys.argv[1]) as file:
    file.visititems(lambda name, node: found.update({name: node[:]})
                    if isinstance(node, h5py.Dataset) else None)
assert "hdf5plugin" not in sys.modules
np.savez(sys.argv[2], **found)
"""


def test_stranger__reads_hdf5(tmp_path: Path) -> None:
    cache = FOLDER / "hdf5"
    command = [sys.executable, "-c", PLAIN_H5PY, str(cache / "cache.h5"), str(tmp_path / "all.npz")]
    subprocess.run(command, check=True)
    check(Stranger(cache), dict(np.load(tmp_path / "all.npz")))
