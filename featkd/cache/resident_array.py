"""Small arrays in memory: read once, part by part, then served without touching the disk."""

from collections.abc import Callable, Sequence
from threading import Lock

import numpy as np
import torch
from torch import Tensor

from featkd.cache.spec import ArraySpec


class ResidentArray:
    """An array of a cache of which the parts read so far are in memory.

    Args:
        spec: the array.
        num_rows: rows of the cache.
        part_rows: rows of a part.
    """

    def __init__(self, spec: ArraySpec, *, num_rows: int, part_rows: int) -> None:
        # Pages that no part has been read into cost nothing yet.
        self._values = np.empty((num_rows, *spec.shape), dtype=spec.dtype)
        self._part_rows = part_rows
        self._parts: set[int] = set()

    def take(
        self,
        rows: Sequence[int],
        lock: Lock,
        read_into: Callable[[Sequence[int], np.ndarray], None],
    ) -> Tensor:
        """Copy rows out, reading the parts that are not in memory yet.

        Args:
            rows: rows of committed parts, in any order.
            lock: of this process; keeps threads from reading the same part twice.
            read_into: reads rows into a target.

        Returns:
            (len(rows), ...), in the order of ``rows``.
        """
        parts = {row // self._part_rows for row in rows}
        if not parts <= self._parts:
            with lock:
                for part in sorted(parts - self._parts):
                    start = part * self._part_rows
                    target = self._values[start : start + self._part_rows]
                    read_into(range(start, start + len(target)), target)
                    self._parts.add(part)
        return torch.from_numpy(self._values[list(rows)])
