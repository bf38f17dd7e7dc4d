"""Arrays of a cache as sharded Zarr v3 arrays, written through tensorstore and read directly.

A shard is a part. Chunks carry a CRC32C, without which a flipped byte would go unnoticed. "lz4" is
Blosc's, without shuffling, which makes sparse post-ReLU maps larger; zstd is at level 1.

What the arrays are is said by the cache's header. featkd never reads ``zarr.json``; those files are
for other readers.
"""

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from featkd.cache.part_layout import PartLayout
from featkd.cache.shard_reader import ShardedArray, ShardReader
from featkd.cache.spec import StoredArray
from featkd.cache.tensorstore_process import claim_tensorstore
from featkd.durable import make_folder, replace_file, sync_folder

_GROUP_METADATA = b'{"zarr_format": 3, "node_type": "group", "attributes": {}}'
_LITTLE_ENDIAN = {"name": "bytes", "configuration": {"endian": "little"}}


class ZarrFiles:
    """A `featkd.cache.array_files.ArrayFiles`: one Zarr hierarchy in the cache's folder.

    Args:
        root: folder of the cache.
        layout: how its rows are numbered.
    """

    detects_damage = True

    def __init__(self, root: Path, layout: PartLayout) -> None:
        self._root = root
        self._layout = layout
        self._reader = ShardReader()
        self._lock = Lock()
        self._writable: dict[str, Any] = {}

    def create(self, array: StoredArray) -> None:
        """Make an empty array and the groups above it."""
        self.remove(array)
        folder = self._folder(array)
        make_folder(folder)
        for path, content in self.metadata([array]).items():
            replace_file(path, content)
        sync_folder(folder)

    def remove(self, array: StoredArray) -> None:
        """Delete the array's folder."""
        self.close()
        folder = self._folder(array)
        if folder.exists():
            shutil.rmtree(folder)
            sync_folder(folder.parent)

    def part_file(self, array: StoredArray, part: int) -> Path:
        """The shard of a part."""
        return Path(self._sharded(array).shard_path(part))

    def write_part(self, array: StoredArray, part: int, values: np.ndarray) -> None:
        """Write a whole shard at once: appending in pieces would rewrite the file each time.

        Raises:
            CacheError: this process was forked from one that writes caches.
        """
        claim_tensorstore()
        import tensorstore as ts  # takes time and memory, and readers do without

        with self._lock:
            if array.name not in self._writable:
                self._writable[array.name] = ts.open(
                    {
                        "driver": "zarr3",
                        "kvstore": {"driver": "file", "path": f"{self._folder(array)}/"},
                        "metadata": self._describe(array),
                        # A part of zeros or NaN must have a shard like any other.
                        "store_data_equal_to_fill_value": True,
                    },
                    open=True,
                    assume_metadata=True,
                ).result()
            writable = self._writable[array.name]
        start = self._layout.part_range(part).start
        with ts.Transaction() as transaction:
            writable.with_transaction(transaction)[start : start + len(values)] = values

    def read_rows(self, array: StoredArray, rows: Sequence[int], target: np.ndarray) -> None:
        """Decode several chunks at once, where possible straight into the target."""
        self._reader.read_rows(self._sharded(array), rows, target)

    def metadata(self, arrays: Sequence[StoredArray]) -> Mapping[Path, bytes]:
        """Every ``zarr.json``."""
        groups = {self._root, self._root / "arrays"}
        for array in arrays:
            parents = self._folder(array).parents
            groups |= {path for path in parents if path.is_relative_to(self._root / "arrays")}
        files = {group / "zarr.json": _GROUP_METADATA for group in groups}
        for array in arrays:
            content = {"zarr_format": 3, "node_type": "array", **self._describe(array)}
            path = self._folder(array) / "zarr.json"
            files[path] = json.dumps({**content, "attributes": {}}, indent=1).encode()
        return files

    def arrange(self, layout: PartLayout, arrays: Sequence[StoredArray]) -> None:
        """Adopt the layout; write the metadata that differ."""
        self.close()
        self._layout = layout
        for path, content in self.metadata(arrays).items():
            if not path.is_file() or path.read_bytes() != content:
                make_folder(path.parent)
                replace_file(path, content)

    def close(self) -> None:
        """Forget the open arrays and shards."""
        self._writable.clear()
        self._reader.close()

    def _folder(self, array: StoredArray) -> Path:
        return self._root / "arrays" / array.name

    def _sharded(self, array: StoredArray) -> ShardedArray:
        return ShardedArray.of(self._folder(array), array, self._layout.part_rows)

    def _describe(self, array: StoredArray) -> dict[str, object]:
        sharded = self._sharded(array)
        return {
            "shape": [self._layout.capacity, *array.shape],
            "data_type": array.dtype,
            "chunk_grid": {
                "name": "regular",
                "configuration": {"chunk_shape": [sharded.part_rows, *array.shape]},
            },
            # "." keeps all shards of an array in one folder.
            "chunk_key_encoding": {"name": "default", "configuration": {"separator": "."}},
            "fill_value": "NaN" if np.dtype(array.dtype).kind == "f" else 0,
            "codecs": [
                {
                    "name": "sharding_indexed",
                    "configuration": {
                        "chunk_shape": [sharded.chunk_rows, *array.shape],
                        "codecs": [_LITTLE_ENDIAN, *_compressor(array), {"name": "crc32c"}],
                        "index_codecs": [_LITTLE_ENDIAN, {"name": "crc32c"}],
                    },
                }
            ],
        }


def _compressor(array: StoredArray) -> list[dict[str, object]]:
    if array.compression == "none":
        return []
    if array.compression == "lz4":
        configuration: dict[str, object] = {
            "cname": "lz4",
            "clevel": 5,
            "shuffle": "noshuffle",
            "typesize": np.dtype(array.dtype).itemsize,
            "blocksize": 0,
        }
        return [{"name": "blosc", "configuration": configuration}]
    return [{"name": array.compression, "configuration": {"level": 1}}]
