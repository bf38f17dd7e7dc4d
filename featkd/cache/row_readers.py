"""Reading rows of Zarr arrays in any process, forked ones included.

tensorstore cannot be used in a child that was forked after its parent used it. Such a child reads
through zarr-python instead, slower by far but correct. Children that were spawned, or forked before
the first read, read at full speed.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from threading import Lock

import numpy as np
import tensorstore as ts

from featkd.cache.spec import ArraySpec
from featkd.cache.tensorstore_process import tensorstore_is_usable
from featkd.cache.zarr_array import open_array, read_rows_into


class TensorstoreReader:
    """The fast reader."""

    def __init__(self, array: ts.TensorStore) -> None:
        self._array = array

    def read_into(self, rows: Sequence[int], target: np.ndarray) -> None:
        """Read rows into a target of shape (len(rows), ...).

        Raises:
            ValueError: a chunk is damaged.
        """
        read_rows_into(self._array, rows, target)


class ZarrPythonReader:
    """The reader of forked processes."""

    def __init__(self, path: Path) -> None:
        import zarr  # slow to import, and few processes need it

        self._array = zarr.open_array(path, mode="r")

    def read_into(self, rows: Sequence[int], target: np.ndarray) -> None:
        """Read rows into a target of shape (len(rows), ...).

        Raises:
            ValueError: a chunk is damaged.
        """
        for index, row in enumerate(rows):
            target[index : index + 1] = self._array[row : row + 1]


RowReader = TensorstoreReader | ZarrPythonReader


class RowReaders:
    """The readers of one process, opened when first needed.

    Args:
        root: group that holds the arrays.
        num_rows: rows of the cache.
    """

    def __init__(self, root: Path, *, num_rows: int) -> None:
        self.pid = os.getpid()
        self.lock = Lock()
        self._root = root
        self._num_rows = num_rows
        self._readers: dict[str, RowReader] = {}

    def reader(self, spec: ArraySpec) -> RowReader:
        """The reader of an array.

        Raises:
            CacheError: the array is missing, damaged, or not what the cache says it is.
        """
        if spec.name not in self._readers:
            self._readers[spec.name] = (
                TensorstoreReader(open_array(self._root, spec, num_rows=self._num_rows))
                if tensorstore_is_usable()
                else ZarrPythonReader(self._root / spec.name)
            )
        return self._readers[spec.name]
