import pytest
from hypothesis import given
from hypothesis import strategies as st

from featkd.cache import PartLayout
from featkd.errors import CacheError

part_sizes = st.integers(1, 9)
blocks = st.lists(st.integers(1, 40), min_size=1, max_size=4).map(tuple)


def rows_by_hand(layout: PartLayout) -> list[list[int]]:
    """Rows of every part, counted one by one."""
    parts: list[list[int]] = []
    for num_rows in layout.block_rows:
        for row in range(num_rows):
            if row % layout.part_rows == 0:
                parts.append([])
            parts[-1].append((len(parts) - 1) * layout.part_rows + row % layout.part_rows)
    return parts


@given(part_rows=part_sizes, block_rows=blocks)
def test_layout__as_counted_by_hand(part_rows: int, block_rows: tuple[int, ...]) -> None:
    layout = PartLayout(part_rows, block_rows)
    parts = rows_by_hand(layout)
    rows = [row for part in parts for row in part]
    assert layout.num_parts == len(parts)
    assert [list(layout.part_range(part)) for part in range(layout.num_parts)] == parts
    assert layout.row_numbers().tolist() == rows
    assert layout.num_rows == len(rows)
    assert layout.capacity == rows[-1] + 1
    assert [row for row in range(-2, layout.capacity + 3) if layout.has_row(row)] == rows
    assert [layout.part_of(row) for row in rows] == [
        number for number, part in enumerate(parts) for _ in part
    ]


@given(part_rows=part_sizes, block_rows=blocks, num_rows=st.integers(1, 30))
def test_with_block__leaves_what_there_was_as_it_was(
    part_rows: int, block_rows: tuple[int, ...], num_rows: int
) -> None:
    layout = PartLayout(part_rows, block_rows)
    longer = layout.with_block(num_rows)
    assert longer.row_numbers()[: layout.num_rows].tolist() == layout.row_numbers().tolist()
    for part in range(layout.num_parts):
        assert longer.part_range(part) == layout.part_range(part)
    assert longer.num_rows == layout.num_rows + num_rows


@pytest.mark.parametrize("part", [-1, 3])
def test_part_range__no_such_part(part: int) -> None:
    with pytest.raises(CacheError, match=f"part {part} does not exist; expected 0 to 2"):
        PartLayout(4, (5, 3)).part_range(part)


def test_layout__refuses_what_is_none() -> None:
    with pytest.raises(CacheError, match="part_rows is 0; expected at least 1"):
        PartLayout(0, (5,))
    for block_rows in ((), (4, 0)):
        with pytest.raises(CacheError, match="expected numbers above 0"):
            PartLayout(4, block_rows)
