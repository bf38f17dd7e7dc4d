"""One array of a cache as a sharded Zarr v3 array, through tensorstore.

A shard is a part. Large rows are a chunk each; small rows share chunks of up to 256 KiB that never
cross a part. Chunks are compressed with zstd at level 1 without shuffling, which measured best on
sparse post-ReLU maps, and carry a CRC32C, without which a flipped byte would go unnoticed.
"""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tensorstore as ts

from featkd.cache.part import fill_value
from featkd.cache.spec import ArraySpec, ShardDigest
from featkd.cache.tensorstore_process import note_tensorstore_use, tensorstore_is_usable
from featkd.durable import make_folder, replace_file, sync_folder
from featkd.errors import CacheError

GROUP_METADATA = b'{"zarr_format": 3, "node_type": "group", "attributes": {}}'

_LARGE_ROW_BYTES = 64 * 1024
_MAX_SHARED_CHUNK_BYTES = 256 * 1024
_HASH_BLOCK_BYTES = 1 << 20


def rows_per_chunk(row_bytes: int, part_rows: int) -> int:
    """How many rows share a chunk: a divisor of ``part_rows``, as shards need."""
    if row_bytes > _LARGE_ROW_BYTES:
        return 1
    return max(
        rows
        for rows in range(1, part_rows + 1)
        if part_rows % rows == 0 and (rows == 1 or rows * row_bytes <= _MAX_SHARED_CHUNK_BYTES)
    )


def create_array(root: Path, spec: ArraySpec, *, num_rows: int, part_rows: int) -> ts.TensorStore:
    """Make an empty array, and the groups above it, replacing one that was left unfinished.

    Args:
        root: group that holds the arrays; exists.
        spec: name and shape of a row.
        num_rows: rows of the cache.
        part_rows: rows of a shard.

    Raises:
        CacheError: this process was forked from one that reads or writes caches.
    """
    group = root
    for segment in spec.name.split("/")[:-1]:
        group = group / segment
        make_folder(group)
        replace_file(group / "zarr.json", GROUP_METADATA)
    _enter_tensorstore()
    fill = fill_value(np.dtype(spec.dtype))
    array = ts.open(
        {
            **_driver(root, spec),
            "metadata": {
                "shape": [num_rows, *spec.shape],
                "data_type": spec.dtype,
                "chunk_grid": {
                    "name": "regular",
                    "configuration": {"chunk_shape": [part_rows, *spec.shape]},
                },
                # "." keeps all shards of an array in one folder.
                "chunk_key_encoding": {"name": "default", "configuration": {"separator": "."}},
                "fill_value": "NaN" if np.isnan(fill) else int(fill),
                "codecs": _codecs(spec, part_rows),
            },
        },
        create=True,
        delete_existing=True,
    ).result()
    sync_folder(root / spec.name)
    sync_folder((root / spec.name).parent)
    return array


def open_array(root: Path, spec: ArraySpec, *, num_rows: int) -> ts.TensorStore:
    """Open an array for reading and writing of its rows.

    Raises:
        CacheError: it is missing, damaged, or not what the cache says it is, or this process was
            forked from one that reads or writes caches.
    """
    _enter_tensorstore()
    try:
        array = ts.open(_driver(root, spec), open=True).result()
    except ValueError as error:
        raise CacheError(f"array {root / spec.name} cannot be opened: {error}") from error
    expected = (spec.dtype, (num_rows, *spec.shape))
    if (array.dtype.name, array.shape) != expected:
        raise CacheError(
            f"array {root / spec.name} is {array.dtype.name} {array.shape}; "
            f"the cache says {expected[0]} {expected[1]}"
        )
    return array


def shard_path(root: Path, spec: ArraySpec, part: int) -> Path:
    """File that holds a part of an array."""
    return root / spec.name / ".".join(["c", str(part), *("0" for _ in spec.shape)])


def write_shard(array: ts.TensorStore, start_row: int, values: np.ndarray) -> None:
    """Write a whole part as one file; appending in pieces would rewrite the file each time."""
    with ts.Transaction() as transaction:
        array.with_transaction(transaction)[start_row : start_row + len(values)] = values


def digest_shard(path: Path) -> ShardDigest:
    """Put a shard onto the disk for good, and digest what it holds."""
    digest = hashlib.sha256()
    num_bytes = 0
    with path.open("rb") as file:
        os.fsync(file.fileno())
        while block := file.read(_HASH_BLOCK_BYTES):
            digest.update(block)
            num_bytes += len(block)
    sync_folder(path.parent)
    return ShardDigest(sha256=digest.hexdigest(), num_bytes=num_bytes)


def read_rows_into(array: ts.TensorStore, rows: Sequence[int], target: np.ndarray) -> None:
    """Read rows of an array, decoding all chunks at once and straight into the target.

    Args:
        array: the array.
        rows: which rows, at least one, in any order; a row may come twice.
        target: (len(rows), ...), written in the order of ``rows``.

    Raises:
        ValueError: a chunk is damaged.
    """
    ts.array(target).write(array[list(rows)]).result()


def _enter_tensorstore() -> None:
    if not tensorstore_is_usable():
        raise CacheError(
            f"process {os.getpid()} was forked from one that reads or writes caches, and so cannot "
            "write one; start it by 'spawn'"
        )
    note_tensorstore_use()


def _driver(root: Path, spec: ArraySpec) -> dict[str, object]:
    return {
        "driver": "zarr3",
        "kvstore": {"driver": "file", "path": f"{root / spec.name}/"},
        # A part of zeros or NaN must have a shard like any other.
        "store_data_equal_to_fill_value": True,
    }


def _codecs(spec: ArraySpec, part_rows: int) -> list[dict[str, object]]:
    little_endian = {"name": "bytes", "configuration": {"endian": "little"}}
    return [
        {
            "name": "sharding_indexed",
            "configuration": {
                "chunk_shape": [rows_per_chunk(spec.row_bytes, part_rows), *spec.shape],
                "codecs": [
                    little_endian,
                    {"name": "zstd", "configuration": {"level": 1}},
                    {"name": "crc32c"},
                ],
                "index_codecs": [little_endian, {"name": "crc32c"}],
            },
        }
    ]
