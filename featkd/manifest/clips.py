"""The clips of a split, made when they are asked for."""

from collections.abc import Iterator, Sequence
from dataclasses import fields
from operator import eq
from pathlib import Path
from typing import Any, SupportsIndex, overload

import numpy as np
import pyarrow as pa
from jaxtyping import Int

from featkd.clip import Clip, ClipSequence
from featkd.manifest.rows import restored_table

# A clip has its values from the columns of the same names.
_COLUMNS = [field.name for field in fields(Clip)]
_CLIPS_AT_A_TIME = 4096


class Clips(ClipSequence):
    """Chosen rows of a manifest as clips, equal to any sequence of equal clips.

    A million clips would take seconds to make and most of a gigabyte to hold; here each is made
    anew when it is asked for. Going through them in order is quicker than asking one by one.

    Args:
        rows: rows as a manifest keeps them.
        positions: which of them, in the order of the clips.
        root: absolute folder that the paths start from.
    """

    def __init__(self, rows: pa.Table, positions: Int[np.ndarray, " clips"], root: Path) -> None:
        self._rows = rows.select(_COLUMNS)
        self._positions = positions
        self._root = root

    def video_ids(self) -> list[str]:
        """The id of every clip, without making the clips."""
        chosen: list[str] = self._rows["video_id"].take(self._positions).to_pylist()
        return chosen

    def __len__(self) -> int:
        return len(self._positions)

    @overload
    def __getitem__(self, index: SupportsIndex) -> Clip: ...
    @overload
    def __getitem__(self, index: slice) -> "Clips": ...
    def __getitem__(self, index: SupportsIndex | slice) -> "Clip | Clips":
        if isinstance(index, slice):
            return Clips(self._rows, self._positions[index], self._root)
        position = int(self._positions[index])
        return self._clip(*(column[position].as_py() for column in self._rows.columns))

    def __iter__(self) -> Iterator[Clip]:
        for start in range(0, len(self), _CLIPS_AT_A_TIME):
            positions = self._positions[start : start + _CLIPS_AT_A_TIME]
            # Arrow would join the whole table to take some rows of it, were it not cut out first.
            first, last = positions.min(), positions.max()
            near = self._rows.slice(first, last - first + 1)
            chosen = restored_table(near.take(positions - first))
            for values in zip(*map(_listed, chosen.columns), strict=True):
                yield self._clip(*values)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence):
            return NotImplemented
        return len(self) == len(other) and all(map(eq, self, other))

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<{len(self)} clips below {self._root}>"

    def _clip(self, video_id: str, path: str, *others: Any) -> Clip:
        return Clip(video_id, self._root / path, *others)


def _listed(column: pa.ChunkedArray) -> list[Any]:
    # The quick way knows no None.
    quick = column.null_count == 0
    values: list[Any] = column.to_numpy().tolist() if quick else column.to_pylist()
    return values
