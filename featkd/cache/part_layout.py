"""How rows are numbered and cut into parts."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from featkd.errors import CacheError


@dataclass(frozen=True, slots=True)
class PartLayout:
    """Blocks of rows, each beginning with a new part.

    A cache begins with one block; each time rows are added, a block follows. A block that does not
    fill its last part leaves numbers unused behind it, so that a part that is committed never gets
    further rows.

    Attributes:
        part_rows: numbers of a part.
        block_rows: rows of each block.
    """

    part_rows: int
    block_rows: tuple[int, ...]

    def __post_init__(self) -> None:
        if self.part_rows < 1:
            raise CacheError(f"part_rows is {self.part_rows}; expected at least 1")
        if not self.block_rows or min(self.block_rows) < 1:
            raise CacheError(f"block_rows is {list(self.block_rows)}; expected numbers above 0")

    @property
    def num_rows(self) -> int:
        """Rows there are; numbers that are left unused do not count."""
        return sum(self.block_rows)

    @property
    def num_parts(self) -> int:
        """How many parts the rows make."""
        return sum(self._num_parts_by_block())

    @property
    def capacity(self) -> int:
        """The last row's number plus one: the length of every array."""
        return (self.num_parts - self._num_parts_by_block()[-1]) * self.part_rows + self.block_rows[
            -1
        ]

    def part_of(self, row: int) -> int:
        """The part that a row belongs to."""
        return row // self.part_rows

    def part_range(self, part: int) -> range:
        """Rows of a part.

        Raises:
            CacheError: there is no such part.
        """
        first_part = 0
        for rows, parts in zip(self.block_rows, self._num_parts_by_block(), strict=True):
            if 0 <= part - first_part < parts:
                start = part * self.part_rows
                stop = min(start + self.part_rows, first_part * self.part_rows + rows)
                return range(start, stop)
            first_part += parts
        raise CacheError(f"part {part} does not exist; expected 0 to {first_part - 1}")

    def row_numbers(self) -> np.ndarray:
        """The number of every row, int64, rising."""
        starts = self._block_starts()
        return np.concatenate(
            [
                np.arange(start, start + rows)
                for start, rows in zip(starts, self.block_rows, strict=True)
            ]
        )

    def has_row(self, row: int) -> bool:
        """Whether there is a row of that number."""
        return any(
            0 <= row - start < rows
            for start, rows in zip(self._block_starts(), self.block_rows, strict=True)
        )

    def with_block(self, num_rows: int) -> "PartLayout":
        """The layout with further rows."""
        return PartLayout(self.part_rows, (*self.block_rows, num_rows))

    def _block_starts(self) -> Iterator[int]:
        first_part = 0
        for parts in self._num_parts_by_block():
            yield first_part * self.part_rows
            first_part += parts

    def _num_parts_by_block(self) -> Sequence[int]:
        return [-(-rows // self.part_rows) for rows in self.block_rows]
