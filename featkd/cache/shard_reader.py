"""Rows of sharded Zarr v3 arrays, read from the shards directly.

Each chunk that is asked for is read, checked and decompressed once, in a few threads, where
possible straight into the row of the batch. The arrays are those that
`featkd.cache.zarr_files.ZarrFiles` writes; other layouts of Zarr are not understood.
"""

import os
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final, TypeVar

import numpy as np

from featkd.cache.chunk_codec import decode_chunk
from featkd.cache.chunking import rows_per_chunk
from featkd.cache.open_shards import MAX_OPEN_SHARDS, OpenShards
from featkd.cache.spec import StoredArray

Job = TypeVar("Job")

_MAX_THREADS: Final = 4
# Below that, handing work to another thread takes longer than doing it.
_MIN_BYTES_PER_THREAD: Final = 256 * 1024


@dataclass(frozen=True, slots=True)
class ShardedArray:
    """An array, and how it is cut into shards and chunks.

    Attributes:
        folder: where its shards are.
        array: what it holds.
        part_rows: rows of a shard.
        chunk_rows: rows of a chunk.
    """

    folder: str
    array: StoredArray
    part_rows: int
    chunk_rows: int

    @classmethod
    def of(cls, folder: Path, array: StoredArray, part_rows: int) -> "ShardedArray":
        """The array as a cache lays it out in a folder, in parts of ``part_rows``."""
        return cls(str(folder), array, part_rows, rows_per_chunk(array.row_bytes, part_rows))

    @property
    def chunks_per_shard(self) -> int:
        """How many chunks a shard has."""
        return self.part_rows // self.chunk_rows

    def shard_path(self, part: int) -> str:
        """File of a part; ``.`` separates the numbers of its key, so that all lie in one folder."""
        return f"{self.folder}/c.{part}{'.0' * len(self.array.shape)}"

    def locate(self, chunk: int) -> tuple[str, int, int]:
        """Shard of a chunk of the array, the chunk's number in it, and how many it has."""
        part, number = divmod(chunk, self.chunks_per_shard)
        return self.shard_path(part), number, self.chunks_per_shard


class ShardReader:
    """Reads rows of sharded arrays. May be used by several threads and by forked children.

    Args:
        max_open: shards that are kept open.
    """

    def __init__(self, max_open: int = MAX_OPEN_SHARDS) -> None:
        self._shards = OpenShards(max_open)

    def read_rows(self, source: ShardedArray, rows: Sequence[int], target: np.ndarray) -> None:
        """Read rows in any order; a row may come twice.

        Args:
            source: the array.
            rows: at least one.
            target: (len(rows), ...), contiguous; written in the order of ``rows``.

        Raises:
            OSError: a shard is missing or cannot be read.
            ValueError: a shard is damaged or not what the array says, or the target is not
                contiguous.
        """
        if not target.flags.c_contiguous:
            raise ValueError(f"target has strides {target.strides}; expected a contiguous array")
        indices_by_chunk: dict[int, list[int]] = {}
        for index, row in enumerate(rows):
            indices_by_chunk.setdefault(row // source.chunk_rows, []).append(index)
        target_bytes = target.reshape(len(rows), -1).view(np.uint8)
        row_bytes = target_bytes.shape[1]
        chunk_bytes = source.chunk_rows * row_bytes

        if len(indices_by_chunk) > 1:
            for chunk in indices_by_chunk:
                self._shards.announce_chunk(*source.locate(chunk))

        def read_chunk(chunk: int) -> None:
            indices = indices_by_chunk[chunk]
            if source.chunk_rows == 1:
                self._decode(source, chunk, target_bytes[indices[0]])
                for again in indices[1:]:
                    target_bytes[again] = target_bytes[indices[0]]
            else:
                decoded = np.empty(chunk_bytes, dtype=np.uint8)
                self._decode(source, chunk, decoded)
                positions = [rows[index] % source.chunk_rows for index in indices]
                target_bytes[indices] = decoded.reshape(-1, row_bytes)[positions]

        num_bytes = len(indices_by_chunk) * chunk_bytes
        _share(read_chunk, indices_by_chunk, max_threads=num_bytes // _MIN_BYTES_PER_THREAD)
        if target.dtype != target.dtype.newbyteorder("<"):
            target.byteswap(inplace=True)

    def close(self) -> None:
        """Close the shards; reading opens them again."""
        self._shards.close()

    def _decode(self, source: ShardedArray, chunk: int, target: np.ndarray) -> None:
        path, number, num_chunks = source.locate(chunk)
        content = self._shards.read_chunk(path, number, num_chunks)
        try:
            decode_chunk(content, source.array.compression, target)
        except ValueError as error:
            raise ValueError(f"{path}: chunk {number} is damaged: {error}") from error


def _share(do: Callable[[Job], None], jobs: Iterable[Job], *, max_threads: int) -> None:
    """Do jobs in this thread and, where it is worth it, in some of the process's helpers.

    Raises:
        Exception: what a job raised first; further jobs are then not begun.
    """
    left = deque(jobs)

    def work() -> None:
        try:
            while left:
                try:
                    job = left.popleft()
                except IndexError:  # another thread was faster
                    return
                do(job)
        except BaseException:
            left.clear()
            raise

    num_helpers = min(max_threads, len(left), _num_threads()) - 1
    futures = [_helpers(os.getpid()).submit(work) for _ in range(num_helpers)]
    try:
        work()
    finally:
        # Helpers that are busy for others need not come any more; those at work must finish.
        running = [future for future in futures if not future.cancel()]
        wait(running)
    for future in running:
        future.result()


@cache
def _helpers(pid: int) -> ThreadPoolExecutor:  # noqa: ARG001  threads do not survive a fork
    """The threads that help those who read, one pool for each process."""
    return ThreadPoolExecutor(max(1, _num_threads() - 1), thread_name_prefix="featkd-shards")


@cache
def _num_threads() -> int:
    can_tell = hasattr(os, "sched_getaffinity")
    return min(_MAX_THREADS, len(os.sched_getaffinity(0)) if can_tell else os.cpu_count() or 1)
