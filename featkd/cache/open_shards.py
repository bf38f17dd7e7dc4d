"""The shards of a Zarr hierarchy that are open for reading, and their indices.

A shard holds its chunks one after the other and, at its end, an index: offset and size of every
chunk as little-endian uint64, then their CRC32C (Zarr v3, codec ``sharding_indexed``).
"""

import os
import weakref
from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np

from featkd.cache.chunk_codec import CRC32C_BYTES, is_sealed

MAX_OPEN_SHARDS: Final = 64
MAX_INDICES: Final = 4096

_INDEX_ENTRY_BYTES: Final = 16
_ABSENT: Final = 2**64 - 1


class OpenShards:
    """Shards that were read last. All methods may be called by several threads at once.

    A shard is known by its path and the state of the file there, so that one that was replaced is
    read anew, whoever replaced it. A descriptor is closed as soon as it is neither among those
    used last nor in use. There is no lock that a forked child could inherit locked, and reading at
    an offset moves nothing that parent and child share.

    Args:
        max_open: descriptors that are kept open.
    """

    def __init__(self, max_open: int = MAX_OPEN_SHARDS) -> None:
        open_shard = lru_cache(max_open)(_Shard)

        def read_index(path: str, state: "_FileState", num_chunks: int) -> np.ndarray:
            return open_shard(path, state).read_index(num_chunks)

        self._open = open_shard
        # An index is small, and without it a chunk would take two reads of the disk.
        self._index = lru_cache(MAX_INDICES)(read_index)

    def read_chunk(self, path: str, number: int, num_chunks: int) -> bytes:
        """Read a chunk as it is stored, its own CRC32C included and not looked at.

        Args:
            path: of the shard.
            number: of the chunk in its shard.
            num_chunks: of the shard.

        Raises:
            OSError: the shard is missing or cannot be read.
            ValueError: its index is damaged, or has no such chunk within the file.
        """
        state, offset, num_bytes = self._find(path, number, num_chunks)
        return self._open(path, state).read(offset, num_bytes)

    def announce_chunk(self, path: str, number: int, num_chunks: int) -> None:
        """Have the system fetch a chunk from the disk while others are worked on; does not wait.

        Args:
            path: of the shard.
            number: of the chunk in its shard.
            num_chunks: of the shard.

        Raises:
            OSError: the shard is missing or cannot be read.
            ValueError: its index is damaged, or has no such chunk within the file.
        """
        state, offset, num_bytes = self._find(path, number, num_chunks)
        self._open(path, state).announce(offset, num_bytes)

    def close(self) -> None:
        """Forget all; a descriptor that is being read from closes when that is done."""
        self._open.cache_clear()
        self._index.cache_clear()

    def _find(self, path: str, number: int, num_chunks: int) -> "tuple[_FileState, int, int]":
        """State of a shard's file, and offset and size of a chunk in it."""
        state = _FileState.of(os.stat(path))  # noqa: PTH116  Path costs more than the call
        offset, num_bytes = self._index(path, state, num_chunks)[number].tolist()
        if offset == num_bytes == _ABSENT:
            raise ValueError(f"{path} has no chunk {number}")
        if offset + num_bytes > state.num_bytes - _index_bytes(num_chunks):
            raise ValueError(
                f"{path}: chunk {number} lies at {offset} to {offset + num_bytes}; expected an end "
                f"before the index of the file's {state.num_bytes} bytes"
            )
        return state, offset, num_bytes


class _FileState(NamedTuple):
    """What tells a file from the one that replaced it."""

    inode: int
    num_bytes: int
    changed_ns: int

    @classmethod
    def of(cls, found: os.stat_result) -> "_FileState":
        return cls(found.st_ino, found.st_size, found.st_mtime_ns)


class _Shard:
    """An open shard; its descriptor is closed when nothing refers to it any more."""

    def __init__(self, path: str, state: _FileState) -> None:
        self._path = path
        self._descriptor = os.open(path, os.O_RDONLY)
        weakref.finalize(self, os.close, self._descriptor)
        if _FileState.of(os.fstat(self._descriptor)) != state:
            raise ValueError(f"{path} was replaced while it was opened; read it again")
        self._num_bytes = state.num_bytes

    def read(self, offset: int, num_bytes: int) -> bytes:
        content = os.pread(self._descriptor, num_bytes, offset)
        if len(content) != num_bytes:
            raise ValueError(
                f"{self._path} has {len(content)} bytes from {offset} on; expected {num_bytes}"
            )
        return content

    def announce(self, offset: int, num_bytes: int) -> None:
        if hasattr(os, "posix_fadvise"):  # macOS has none; chunks are then fetched when read
            os.posix_fadvise(self._descriptor, offset, num_bytes, os.POSIX_FADV_WILLNEED)

    def read_index(self, num_chunks: int) -> np.ndarray:
        """(num_chunks, 2), uint64: offset and size of every chunk."""
        num_bytes = _index_bytes(num_chunks)
        if num_bytes > self._num_bytes:
            raise ValueError(
                f"{self._path} has {self._num_bytes} bytes; expected at least the {num_bytes} of "
                "its index"
            )
        content = self.read(self._num_bytes - num_bytes, num_bytes)
        if not is_sealed(content):
            raise ValueError(f"{self._path}: the index has another CRC32C than the one behind it")
        return np.frombuffer(content[:-CRC32C_BYTES], dtype="<u8").reshape(num_chunks, 2)


def _index_bytes(num_chunks: int) -> int:
    return num_chunks * _INDEX_ENTRY_BYTES + CRC32C_BYTES
