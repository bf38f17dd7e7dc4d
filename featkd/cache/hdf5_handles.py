"""The HDF5 files of parts that a process has open for reading."""

import os
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any

import h5py
import numpy as np

from featkd.cache.spec import StoredArray

DATASET = "values"
"""The one dataset of a part's file."""

_MAX_OPEN_FILES = 64


class Hdf5Handles:
    """The files that a process has open for reading, the one used longest ago first."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self._lock = Lock()
        self._datasets: OrderedDict[Path, Any] = OrderedDict()

    @contextmanager
    def dataset(self, path: Path, array: StoredArray, num_rows: int) -> Iterator[Any]:
        """Lend the dataset of a part's file to one thread; HDF5 lets only one read anyway.

        Raises:
            OSError: the file cannot be read.
            ValueError: it is damaged, or not of that array.
        """
        with self._lock:
            try:
                if path not in self._datasets:
                    self._datasets[path] = _open_dataset(path, array, num_rows)
                self._datasets.move_to_end(path)
                yield self._datasets[path]
            except (OSError, KeyError, RuntimeError, ValueError) as error:
                self._forget(path)  # it may be repaired before it is asked for again
                if isinstance(error, OSError) and error.errno is not None:
                    raise  # by the system, not by HDF5
                raise ValueError(f"{path} cannot be read: {error}") from error
            while len(self._datasets) > _MAX_OPEN_FILES:
                self._forget(next(iter(self._datasets)))

    def forget(self, path: Path) -> None:
        """Close a file, if it is open."""
        with self._lock:
            self._forget(path)

    def forget_all(self) -> None:
        """Close all files."""
        with self._lock:
            for path in list(self._datasets):
                self._forget(path)

    def _forget(self, path: Path) -> None:
        dataset = self._datasets.pop(path, None)
        if dataset is not None:
            dataset.file.close()


def _open_dataset(path: Path, array: StoredArray, num_rows: int) -> Any:
    # No lock, for disks that are read-only; no chunk cache, since a chunk is read once.
    expected = ((num_rows, *array.shape), little_endian(array))
    file = h5py.File(path, "r", locking=False, rdcc_nbytes=0)
    try:
        dataset = file[DATASET]
        found = (dataset.shape, dataset.dtype)
    except BaseException:
        file.close()
        raise
    if found != expected:
        file.close()
        raise ValueError(f"it holds {found[1]} {found[0]}; expected {array.dtype} {expected[0]}")
    return dataset


def little_endian(array: StoredArray) -> np.dtype:
    """The number type of an array in a file."""
    return np.dtype(array.dtype).newbyteorder("<")
