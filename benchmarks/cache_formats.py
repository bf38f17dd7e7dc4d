"""Ways to keep rows of feature maps: how each writes and reads them.

Every reader gives rows by number, in memory of their own, as training takes them.
"""

import io
import itertools
import tarfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from feature_maps import DTYPES, MAPS, ROW_SHAPES, row_table

PART_ROWS = 64
Block = dict[str, np.ndarray]
Write = Callable[[Path, Iterable[Block], int], None]
"""Stores blocks of `PART_ROWS` rows, so many rows in all, in a folder that exists."""
Read = Callable[[Sequence[str], Sequence[int]], list[np.ndarray]]
"""From names of arrays and row numbers to arrays (rows, ...) in memory of their own."""


@dataclass(frozen=True)
class Format:
    """A way to keep rows and to read them.

    Attributes:
        write: stores rows.
        open: opens the folder for reading.
        stored: name of the folder; readers of the same name read the same files.
        needs: package that has to be there.
        sequential: it gives other rows than it is asked for, and is read by one thread.
    """

    write: Write
    open: Callable[[Path], Read]
    stored: str
    needs: str = "numpy"
    sequential: bool = False


def create_featkd(folder: Path, num_rows: int, backend: Any, compression: Any) -> Any:
    """An empty cache, a `featkd.cache.FolderStore` open for writing."""
    from featkd.cache import ArraySpec, FolderStore

    arrays = [
        ArraySpec(name=name, shape=shape, dtype=DTYPES[name], compression=compression)
        for name, shape in ROW_SHAPES.items()
    ]
    store = FolderStore.create(folder, row_table(num_rows), part_rows=PART_ROWS, backend=backend)
    store.add_layer("teacher", arrays, {})
    return store


def write_featkd(backend: str, compression: str) -> Write:
    def write(folder: Path, blocks: Iterable[Block], num_rows: int) -> None:
        with create_featkd(folder, num_rows, backend, compression) as store:
            for part, block in enumerate(blocks):
                store.write_part("teacher", part, block, failures={}, seconds={})

    return write


def open_featkd(folder: Path) -> Read:
    from featkd.cache import FolderStore

    store = FolderStore.open(folder)
    return lambda names, rows: [store.read_rows(name, rows).numpy() for name in names]


def open_tensorstore(folder: Path) -> Read:
    import tensorstore as ts

    arrays = {}
    for name in ROW_SHAPES:
        kvstore = {"driver": "file", "path": f"{folder / 'arrays' / name}/"}
        arrays[name] = ts.open({"driver": "zarr3", "kvstore": kvstore}, open=True).result()
    return lambda names, rows: [arrays[name][list(rows)].read().result() for name in names]


def open_zarr_python(folder: Path) -> Read:
    import zarr

    arrays = {name: zarr.open_array(folder / "arrays" / name, mode="r") for name in ROW_SHAPES}
    return lambda names, rows: [np.stack([arrays[name][row] for row in rows]) for name in names]


def write_h5py(folder: Path, blocks: Iterable[Block], num_rows: int) -> None:
    import h5py

    with h5py.File(folder / "rows.h5", "w") as file:
        for name, shape in ROW_SHAPES.items():
            options = {"chunks": (1, *shape), "compression": "gzip", "compression_opts": 1}
            file.create_dataset(name, (num_rows, *shape), DTYPES[name], **options)
        for part, block in enumerate(blocks):
            for name, values in block.items():
                file[name][part * PART_ROWS : part * PART_ROWS + len(values)] = values


def open_h5py(folder: Path) -> Read:
    import h5py

    file = h5py.File(folder / "rows.h5", "r")
    return lambda names, rows: [np.stack([file[name][row] for row in rows]) for name in names]


def write_memmap(folder: Path, blocks: Iterable[Block], num_rows: int) -> None:
    arrays = {
        name: np.lib.format.open_memmap(
            folder / f"{index}.npy", "w+", np.dtype(DTYPES[name]), (num_rows, *shape)
        )
        for index, (name, shape) in enumerate(ROW_SHAPES.items())
    }
    for part, block in enumerate(blocks):
        for name, values in block.items():
            arrays[name][part * PART_ROWS : part * PART_ROWS + len(values)] = values


def open_memmap(folder: Path) -> Read:
    arrays = {
        name: np.load(folder / f"{index}.npy", mmap_mode="r")
        for index, name in enumerate(ROW_SHAPES)
    }
    return lambda names, rows: [np.asarray(arrays[name][list(rows)]) for name in names]


def write_safetensors(folder: Path, blocks: Iterable[Block], num_rows: int) -> None:  # noqa: ARG001
    from safetensors.numpy import save_file

    for part, block in enumerate(blocks):
        contiguous = {name: np.ascontiguousarray(values) for name, values in block.items()}
        save_file(contiguous, folder / f"{part:06d}.safetensors")


def open_safetensors(folder: Path) -> Read:
    from safetensors import safe_open

    files: list[Any] = [safe_open(path, framework="numpy") for path in sorted(folder.iterdir())]

    def read_row(name: str, row: int) -> np.ndarray:
        part, position = divmod(row, PART_ROWS)
        values: np.ndarray = files[part].get_slice(name)[position]
        return values

    return lambda names, rows: [np.stack([read_row(name, row) for row in rows]) for name in names]


def write_webdataset(folder: Path, blocks: Iterable[Block], num_rows: int) -> None:  # noqa: ARG001
    for part, block in enumerate(blocks):
        with tarfile.open(folder / f"{part:06d}.tar", "w") as tar:
            for position in range(len(block[MAPS])):
                for index, name in enumerate(ROW_SHAPES):
                    buffer = io.BytesIO()
                    np.save(buffer, block[name][position])
                    entry = tarfile.TarInfo(f"{part * PART_ROWS + position:06d}.{index}.npy")
                    entry.size = buffer.tell()
                    buffer.seek(0)
                    tar.addfile(entry, buffer)


def open_webdataset(folder: Path) -> Read:
    import webdataset

    urls = [str(path) for path in sorted(folder.iterdir())]
    # Every sample carries all arrays; a buffer of 16 shuffles them beyond the order of shards.
    samples = webdataset.WebDataset(urls, shardshuffle=len(urls), seed=0).shuffle(16).decode()
    endless = itertools.chain.from_iterable(itertools.repeat(samples))
    keys = {name: f"{index}.npy" for index, name in enumerate(ROW_SHAPES)}

    def read(names: Sequence[str], rows: Sequence[int]) -> list[np.ndarray]:
        batch = [next(endless) for _ in rows]
        return [np.stack([sample[keys[name]] for sample in batch]) for name in names]

    return read


def write_litdata(folder: Path, blocks: Iterable[Block], num_rows: int) -> None:  # noqa: ARG001
    from litdata.streaming.writer import BinaryWriter

    writer = BinaryWriter(str(folder), chunk_size=PART_ROWS)
    for part, block in enumerate(blocks):
        for position in range(len(block[MAPS])):
            sample = {name: values[position] for name, values in block.items()}
            writer.add_item(part * PART_ROWS + position, sample)
    writer.done()
    writer.merge(num_workers=1)


def open_litdata(folder: Path) -> Read:
    from litdata import StreamingDataset

    # By default it decodes a stretch of rows for each one that is asked for.
    dataset = StreamingDataset(str(folder), batch_decode=False)

    def read(names: Sequence[str], rows: Sequence[int]) -> list[np.ndarray]:
        batch = [dataset[row] for row in rows]
        return [np.stack([sample[name] for sample in batch]) for name in names]

    return read


FORMATS = {
    "memmap": Format(write_memmap, open_memmap, "memmap"),
    "featkd zarr lz4": Format(write_featkd("zarr", "lz4"), open_featkd, "zarr_lz4"),
    "tensorstore lz4": Format(write_featkd("zarr", "lz4"), open_tensorstore, "zarr_lz4"),
    "zarr-python lz4": Format(write_featkd("zarr", "lz4"), open_zarr_python, "zarr_lz4", "zarr"),
    "featkd zarr zstd": Format(write_featkd("zarr", "zstd"), open_featkd, "zarr_zstd"),
    "tensorstore zstd": Format(write_featkd("zarr", "zstd"), open_tensorstore, "zarr_zstd"),
    "zarr-python zstd": Format(write_featkd("zarr", "zstd"), open_zarr_python, "zarr_zstd", "zarr"),
    "featkd zarr none": Format(write_featkd("zarr", "none"), open_featkd, "zarr_none"),
    "featkd hdf5 gzip": Format(write_featkd("hdf5", "gzip"), open_featkd, "hdf5_gzip"),
    "featkd hdf5 zstd": Format(
        write_featkd("hdf5", "zstd"), open_featkd, "hdf5_zstd", "hdf5plugin"
    ),
    "h5py gzip": Format(write_h5py, open_h5py, "h5py"),
    "safetensors": Format(write_safetensors, open_safetensors, "safetensors"),
    "webdataset": Format(
        write_webdataset, open_webdataset, "webdataset", "webdataset", sequential=True
    ),
    "litdata": Format(write_litdata, open_litdata, "litdata", "litdata"),
}
