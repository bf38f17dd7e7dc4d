"""Small arrays in memory: read once, part by part, then served without touching the disk."""

from collections.abc import Sequence
from threading import Lock

import numpy as np

from featkd.cache.array_files import ArrayFiles
from featkd.cache.part_layout import PartLayout
from featkd.cache.spec import StoredArray


class ResidentArray:
    """An array of a cache of which the parts read so far are in memory.

    Args:
        array: the array.
        layout: how its rows are numbered.
        files: reads what is not in memory yet.
    """

    def __init__(self, array: StoredArray, layout: PartLayout, files: ArrayFiles) -> None:
        # Pages that no part has been read into cost nothing yet.
        self._values = np.empty((layout.capacity, *array.shape), dtype=array.dtype)
        self._array = array
        self._layout = layout
        self._files = files
        self._parts: set[int] = set()
        self._lock = Lock()

    def take(self, rows: Sequence[int]) -> np.ndarray:
        """Copy rows out, reading the parts that are not in memory yet.

        Args:
            rows: rows of committed parts, in any order.

        Returns:
            (len(rows), ...), in the order of ``rows``.

        Raises:
            OSError, ValueError: the data are damaged.
        """
        parts = {self._layout.part_of(row) for row in rows}
        if not parts <= self._parts:
            with self._lock:
                for part in sorted(parts - self._parts):
                    span = self._layout.part_range(part)
                    self._files.read_rows(self._array, span, self._values[span.start : span.stop])
                    self._parts.add(part)
        return self._values[list(rows)]
