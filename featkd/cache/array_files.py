"""What a cache on disk asks of the format its arrays are stored in."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np

from featkd.cache.part_layout import PartLayout
from featkd.cache.spec import StoredArray


@runtime_checkable
class ArrayFiles(Protocol):
    """Files of the arrays of one cache folder: one file for each stored array and part.

    Reading may be done by several threads at once, and so may writing of different parts. An
    implementation is made with the cache's folder and its layout of parts.
    """

    detects_damage: bool
    """Whether reading alone tells every damaged file; else a file's digest is checked first."""

    def create(self, array: StoredArray) -> None:
        """Make an empty array, replacing one that was left unfinished.

        Raises:
            OSError, ValueError: it cannot be written.
        """

    def remove(self, array: StoredArray) -> None:
        """Delete an array and its files."""

    def part_file(self, array: StoredArray, part: int) -> Path:
        """File that holds a part of an array."""

    def write_part(self, array: StoredArray, part: int, values: np.ndarray) -> None:
        """Write a part's file; it is whole when this returns, but not yet on the disk for good.

        Args:
            array: which array.
            part: which part.
            values: (rows of the part, ...).

        Raises:
            OSError, ValueError: it cannot be written.
        """

    def read_rows(self, array: StoredArray, rows: Sequence[int], target: np.ndarray) -> None:
        """Read rows of parts that are written.

        Args:
            array: which array.
            rows: at least one, in any order; a row may come twice.
            target: (len(rows), ...), written in the order of ``rows``.

        Raises:
            OSError, ValueError: the data are damaged.
        """

    def metadata(self, arrays: Sequence[StoredArray]) -> Mapping[Path, bytes]:
        """Files beside the parts, by the content they must have."""

    def arrange(self, layout: PartLayout, arrays: Sequence[StoredArray]) -> None:
        """Write those files anew, after arrays or rows were added or removed.

        Args:
            layout: how rows are numbered from now on.
            arrays: all there are from now on.
        """

    def close(self) -> None:
        """Forget open files and whatever else is held in memory."""
