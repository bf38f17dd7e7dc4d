"""The form every table of a manifest has: which columns, and of which types.

What a value may be is in `featkd.manifest.rules`. Rules that need the whole picture or the files
themselves are in `featkd.manifest.validate`.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from featkd.errors import ManifestError
from featkd.manifest.schema import (
    COLUMN_NAMES,
    COLUMNS,
    CONTROL_CHARACTER,
    OUTSIDE_ROOT,
    SCHEMA,
    Column,
)

# Rows that are in hand at a time: many enough to be fast, few enough not to be felt in memory.
BATCH_ROWS = 16_384


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a table comes from, so that a message can point at the place.

    Attributes:
        name: the file, or another name of the table.
        first_line: line of the first row, for text files; None where rows are counted from 0.
    """

    name: str
    first_line: int | None = None

    def row(self, row: int) -> str:
        """Name a row of the table, given its position from 0."""
        if self.first_line is None:
            return f"row {row} (counted from 0)"
        return f"line {row + self.first_line}"


IN_MEMORY = Origin("manifest in memory")


def check_names(names: Sequence[str], origin: Origin) -> None:
    """Check that a table has the manifest's columns, in any order, and no others.

    Raises:
        ManifestError: naming the column that is missing, unknown or there twice.
    """
    for name in COLUMN_NAMES:
        if name not in names:
            raise ManifestError(
                f"{origin.name}: column {name!r} is missing; expected {', '.join(COLUMN_NAMES)}"
            )
    for position, name in enumerate(names):
        if name not in COLUMN_NAMES:
            raise ManifestError(
                f"{origin.name}: column {name!r} is unknown; expected {', '.join(COLUMN_NAMES)}"
            )
        if name in names[:position]:
            raise ManifestError(f"{origin.name}: column {name!r} occurs twice; expected it once")


def batches_of(frame: pd.DataFrame, origin: Origin) -> Iterator[pa.RecordBatch]:
    """The rows of a data frame with the manifest's columns, a batch at a time.

    Raises:
        ManifestError: naming a column that is missing, unknown or of mixed types.
    """
    check_names(list(frame.columns), origin)
    columns = {}
    for column in COLUMNS:
        try:
            columns[column.name] = pa.array(frame[column.name], from_pandas=True)
        except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
            raise ManifestError(
                f"{origin.name}: column {column.name!r} mixes types ({error}); "
                f"expected {column.dtype_name}"
            ) from error
    yield from pa.table(columns).to_batches(max_chunksize=BATCH_ROWS)


def typed(batch: pa.RecordBatch, origin: Origin, first_row: int) -> pa.RecordBatch:
    """Bring a batch to the types of `SCHEMA` without losing anything.

    NaN, and empty text in a column that may be empty, become null.

    Args:
        batch: rows with the manifest's columns in any order.
        origin: where they come from.
        first_row: position of the first of them in the whole table.

    Raises:
        ManifestError: naming the first value that has another type or must not be absent.
    """
    columns = [_typed(batch[column.name], column, origin, first_row) for column in COLUMNS]
    return pa.RecordBatch.from_arrays(columns, schema=SCHEMA)


def path_fault(path: str) -> str | None:
    """Say why a file's name cannot stand in the column ``path``, or None where it can."""
    if re.search(CONTROL_CHARACTER, path):
        return "has a line break or another control character"
    if re.search(OUTSIDE_ROOT, path):
        return "has a backslash, a drive or leads out of the root"
    try:
        path.encode()
    except UnicodeEncodeError:
        return "is not UTF-8"
    return None


def first_row_not_castable(values: pa.Array, dtype: pa.DataType) -> int:
    """Position of the first value that does not cast, in an array known to hold one."""
    castable, failing = 0, len(values)  # values[:castable] cast; values[:failing] do not
    while failing - castable > 1:
        middle = (castable + failing) // 2
        try:
            values.slice(castable, middle - castable).cast(dtype)
        except pa.ArrowInvalid:
            failing = middle
        else:
            castable = middle
    return castable


def _typed(values: pa.Array, column: Column, origin: Origin, first_row: int) -> pa.Array:
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    kind_is_right = _is_text if column.dtype_name == "text" else _is_number
    if not (pa.types.is_null(values.type) or kind_is_right(values.type)):
        raise ManifestError(
            f"{origin.name}: {origin.row(first_row)}: column {column.name!r} holds {values.type}, "
            f"such as {values[0].as_py()!r}; expected {column.dtype_name}"
        )
    try:
        converted = values.cast(column.dtype)
    except pa.ArrowInvalid as error:
        row = first_row_not_castable(values, column.dtype)
        raise ManifestError(
            f"{origin.name}: {origin.row(first_row + row)}: column {column.name!r} is "
            f"{values[row].as_py()!r}; expected {column.dtype_name}"
        ) from error
    if pa.types.is_floating(column.dtype):
        # Adding zero turns -0.0 into 0.0: equal tables must have equal digests.
        converted = pc.add(pc.if_else(pc.is_nan(converted), None, converted), 0.0)
    elif column.nullable:
        converted = pc.if_else(pc.equal(converted, ""), None, converted)
    if not column.nullable and converted.null_count:
        row = pc.index(pc.is_null(converted), value=True).as_py()
        raise ManifestError(
            f"{origin.name}: {origin.row(first_row + row)}: column {column.name!r} is empty; "
            f"expected {column.dtype_name}: {column.meaning}"
        )
    return converted


def _is_text(dtype: pa.DataType) -> bool:
    return bool(pa.types.is_string(dtype) or pa.types.is_large_string(dtype))


def _is_number(dtype: pa.DataType) -> bool:
    return bool(pa.types.is_integer(dtype) or pa.types.is_floating(dtype))
