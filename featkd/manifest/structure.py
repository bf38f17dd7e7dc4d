"""The rules every table of a manifest obeys, checked a column at a time.

A rule that fails names the file, the row, the column, the value and what was expected. Rules that
need the whole picture or the files themselves are in `featkd.manifest.validate`.
"""

import re
from dataclasses import dataclass
from typing import NoReturn

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from featkd.errors import ManifestError
from featkd.manifest.schema import (
    COLUMN_NAMES,
    COLUMNS,
    CONTROL_CHARACTER,
    SCHEMA,
    Column,
    ManifestHeader,
)

# Absolute, on a drive, with a backslash, or with a component that is empty, "." or "..".
_OUTSIDE_ROOT = r"^[A-Za-z]:|\\|(^|/)\.{0,2}(/|$)"
_SHA256 = r"^[0-9a-f]{64}$"


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


def conform(frame: pd.DataFrame, header: ManifestHeader, origin: Origin) -> pd.DataFrame:
    """Check a table against its header and give it the manifest's columns, order and types.

    Empty text in a nullable column becomes absent. The given frame is left as it is.

    Raises:
        ManifestError: naming origin, row, column, value and expectation of the first breach.
    """
    _check_names(list(frame.columns), origin)
    if frame.empty:
        raise ManifestError(f"{origin.name}: the table has no rows; expected at least one video")
    columns = [_typed(frame[column.name], column, origin) for column in COLUMNS]
    table = pa.Table.from_arrays(columns, schema=SCHEMA)
    rules = _Rules(table, header, origin)
    rules.check_text()
    rules.check_identity()
    rules.check_classes()
    rules.check_numbers()
    conformed: pd.DataFrame = table.to_pandas()
    return conformed


def path_fault(path: str) -> str | None:
    """Say why a file's name cannot stand in the column ``path``, or None where it can."""
    if re.search(CONTROL_CHARACTER, path):
        return "has a line break or another control character"
    if re.search(_OUTSIDE_ROOT, path):
        return "has a backslash, a drive or leads out of the root"
    try:
        path.encode()
    except UnicodeEncodeError:
        return "is not UTF-8"
    return None


def first_row_not_castable(values: pa.ChunkedArray, dtype: pa.DataType) -> int:
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


def _check_names(names: list[str], origin: Origin) -> None:
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


def _typed(series: pd.Series, column: Column, origin: Origin) -> pa.ChunkedArray:
    """Bring a column to its type without losing anything; NaN and empty text become null."""
    try:
        converted = pa.array(series, from_pandas=True)
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise ManifestError(
            f"{origin.name}: column {column.name!r} mixes types ({error}); "
            f"expected {column.dtype_name}"
        ) from error
    values = converted if isinstance(converted, pa.ChunkedArray) else pa.chunked_array([converted])
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    kind_is_right = _is_text if column.dtype_name == "text" else _is_number
    if not (pa.types.is_null(values.type) or kind_is_right(values.type)):
        raise ManifestError(
            f"{origin.name}: {origin.row(0)}: column {column.name!r} holds {values.type}, "
            f"such as {values[0].as_py()!r}; expected {column.dtype_name}"
        )
    try:
        typed = values.cast(column.dtype)
    except pa.ArrowInvalid as error:
        row = first_row_not_castable(values, column.dtype)
        raise ManifestError(
            f"{origin.name}: {origin.row(row)}: column {column.name!r} is "
            f"{values[row].as_py()!r}; expected {column.dtype_name}"
        ) from error
    if pa.types.is_floating(column.dtype):
        # Adding zero turns -0.0 into 0.0: equal tables must have equal digests.
        typed = pc.add(pc.if_else(pc.is_nan(typed), None, typed), 0.0)
    elif column.nullable:
        typed = pc.if_else(pc.equal(typed, ""), None, typed)
    if not column.nullable and typed.null_count:
        row = pc.index(pc.is_null(typed), value=True).as_py()
        raise ManifestError(
            f"{origin.name}: {origin.row(row)}: column {column.name!r} is empty; "
            f"expected {column.dtype_name}: {column.meaning}"
        )
    return typed


def _is_text(dtype: pa.DataType) -> bool:
    return bool(pa.types.is_string(dtype) or pa.types.is_large_string(dtype))


def _is_number(dtype: pa.DataType) -> bool:
    return bool(pa.types.is_integer(dtype) or pa.types.is_floating(dtype))


@dataclass(frozen=True, slots=True)
class _Rules:
    """The rules over a table whose columns have their types."""

    table: pa.Table
    header: ManifestHeader
    origin: Origin

    def check_text(self) -> None:
        """Text fits on one line, and what must be named is not blank."""
        for column in COLUMNS:
            if column.dtype_name == "text":
                self._refuse(
                    pc.match_substring_regex(self.table[column.name], CONTROL_CHARACTER),
                    column.name,
                    "text without line breaks or other control characters",
                )
            if column.dtype_name == "text" and not column.nullable:
                self._refuse(
                    pc.equal(pc.utf8_trim_whitespace(self.table[column.name]), ""),
                    column.name,
                    f"not blank: {column.meaning}",
                )

    def check_identity(self) -> None:
        """Rows have distinct names, paths stay below the root, digests are digests."""
        video_ids = self.table["video_id"].to_pandas()
        repeated = video_ids.duplicated()
        if repeated.any():
            row = int(repeated.to_numpy().argmax())
            first = int((video_ids == video_ids.iloc[row]).to_numpy().argmax())
            self._fail(row, "video_id", f"unique names, and {self.origin.row(first)} has it too")
        self._refuse(
            pc.match_substring_regex(self.table["path"], _OUTSIDE_ROOT),
            "path",
            "a path relative to the root that does not leave it, such as 'class/video.mp4'",
        )
        is_digest = pc.match_substring_regex(self.table["sha256"], _SHA256)
        self._refuse(pc.invert(is_digest), "sha256", "64 lowercase hexadecimal digits or nothing")

    def check_classes(self) -> None:
        """Labels count the header's classes, and each row's class name is its label's."""
        labels, classes = self.table["label"], self.header.classes
        self._refuse(
            pc.or_(pc.less(labels, 0), pc.greater_equal(labels, len(classes))),
            "label",
            f"0 to {len(classes) - 1}: the header lists {len(classes)} classes",
        )
        expected = pc.take(pa.array(classes, pa.large_string()), labels)
        differs = pc.not_equal(self.table["class_name"], expected)
        row = pc.index(differs, value=True).as_py()
        if row >= 0:
            name, label = expected[row].as_py(), labels[row].as_py()
            self._fail(row, "class_name", f"{name!r}, which the header gives label {label}")

    def check_numbers(self) -> None:
        """Counts and rates are not negative, clips are not empty, readable videos have a size."""
        for name in ("num_frames", "width", "height"):
            self._refuse(pc.less(self.table[name], 0), name, "0 or more")
        for name in ("start_sec", "fps"):
            values = self.table[name]
            wrong = pc.or_(pc.less(values, 0), pc.invert(pc.is_finite(values)))
            self._refuse(wrong, name, "a finite number, 0 or more")
        end_sec = self.table["end_sec"]
        wrong = pc.or_(
            pc.less_equal(end_sec, self.table["start_sec"]), pc.invert(pc.is_finite(end_sec))
        )
        self._refuse(wrong, "end_sec", "a finite number greater than start_sec, or nothing")
        readable = pc.greater(self.table["num_frames"], 0)
        for name in ("width", "height"):
            wrong = pc.and_(readable, pc.equal(self.table[name], 0))
            self._refuse(wrong, name, "1 or more, since the row has frames")

    def _refuse(self, wrong: pa.ChunkedArray, column: str, expected: str) -> None:
        """Fail at the first row where ``wrong`` holds; null counts as right."""
        row = pc.index(wrong, value=True).as_py()
        if row >= 0:
            num_wrong = pc.sum(wrong).as_py()
            others = f" ({num_wrong} rows are wrong in this way)" if num_wrong > 1 else ""
            self._fail(row, column, expected + others)

    def _fail(self, row: int, column: str, expected: str) -> NoReturn:
        value = self.table[column][row].as_py()
        raise ManifestError(
            f"{self.origin.name}: {self.origin.row(row)}: column {column!r} is {value!r}; "
            f"expected {expected}"
        )
