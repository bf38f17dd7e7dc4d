"""Shows rows of a manifest."""

from collections.abc import Mapping, Sequence

import pyarrow as pa

from featkd.cli.figures import UNKNOWN
from featkd.cli.tables import print_table
from featkd.manifest import COLUMNS, Manifest

# A checksum is 64 characters; its first ones tell files apart.
_SHOWN_CHARACTERS = 8


def first_rows(manifest: Manifest, num_rows: int) -> list[dict[str, object]]:
    """The first rows by column, an absent value as None."""
    table = manifest.table.head(num_rows)
    rows: list[dict[str, object]] = pa.Table.from_pandas(table, preserve_index=False).to_pylist()
    return rows


def print_rows(rows: Sequence[Mapping[str, object]]) -> None:
    """A line for each row; nothing where there is none."""
    if not rows:
        return
    print_table(
        [column.name for column in COLUMNS],
        [[_cell(column.name, row[column.name]) for column in COLUMNS] for row in rows],
        numeric=[column.name for column in COLUMNS if column.dtype_name != "text"],
    )


def _cell(name: str, value: object) -> str:
    if value is None:
        return UNKNOWN
    if name == "sha256":
        return str(value)[:_SHOWN_CHARACTERS]
    return f"{value:g}" if isinstance(value, float) else str(value)
