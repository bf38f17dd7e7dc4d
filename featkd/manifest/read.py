"""Reads a manifest from CSV or Parquet."""

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
from pydantic import ValidationError

from featkd.errors import ManifestError
from featkd.manifest.manifest import Manifest
from featkd.manifest.schema import COLUMNS, HEADER_KEY, ManifestHeader, explain
from featkd.manifest.structure import Origin, first_row_not_castable

# Line 1 holds the header, line 2 the names of the columns.
_FIRST_CSV_LINE = 3


def read_manifest(path: Path, *, root: Path | None = None) -> Manifest:
    """Read a manifest and check its structure.

    Args:
        path: a ``.csv`` or ``.parquet`` file that `write_manifest` wrote, or one like it.
        root: folder that the paths of the rows start from; by default the manifest's own folder.

    Raises:
        ManifestError: naming file, row (line, for CSV), column, value and what was expected.
    """
    if not path.exists():
        raise ManifestError(f"{path} does not exist; expected a manifest (.csv or .parquet)")
    if path.is_dir():
        raise ManifestError(f"{path} is a folder; expected a manifest file (.csv or .parquet)")
    if root is not None and not root.is_dir():
        raise ManifestError(f"root {root} of {path} is not a folder; expected the videos' folder")
    try:
        match path.suffix.casefold():
            case ".csv":
                header, table = _read_csv(path)
                origin = Origin(str(path), _FIRST_CSV_LINE)
            case ".parquet":
                header, table = _read_parquet(path)
                origin = Origin(str(path))
            case suffix:
                raise ManifestError(f"{path} has suffix {suffix!r}; expected .csv or .parquet")
    except OSError as error:
        raise ManifestError(f"{path} cannot be read: {error.strerror or error}") from error
    return Manifest(header, table, root or path.parent, origin)


def _header_from(text: str | bytes, path: Path) -> ManifestHeader:
    try:
        return ManifestHeader.model_validate_json(text)
    except ValidationError as error:
        raise ManifestError(f"{path}: header of the manifest: {explain(error)}") from error


def _read_csv(path: Path) -> tuple[ManifestHeader, pd.DataFrame]:
    with path.open("rb") as file:
        first_line = file.readline()
    mark = f"# {HEADER_KEY} "
    try:
        text = first_line.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ManifestError(
            f"{path}: line 1 is not UTF-8 text; expected {mark!r} and the header as JSON"
        ) from error
    if not text.startswith(mark):
        raise ManifestError(
            f"{path} is not a manifest: line 1 is {text[:60].rstrip()!r}; "
            f"expected {mark!r} and the header as JSON"
        )
    header = _header_from(text.removeprefix(mark), path)
    return header, _parse_rows(path).to_pandas()


def _parse_rows(path: Path) -> pa.Table:
    """Parse the lines below the header as text, then the numbers, so that a fault has a line."""
    uneven: list[pa.csv.InvalidRow] = []

    def keep_uneven(row: pa.csv.InvalidRow) -> str:
        uneven.append(row)
        return "skip"

    try:
        table = pa.csv.read_csv(
            path,
            # Only a single thread knows the line numbers of uneven rows.
            read_options=pa.csv.ReadOptions(skip_rows=1, use_threads=False),
            parse_options=pa.csv.ParseOptions(
                ignore_empty_lines=False, invalid_row_handler=keep_uneven
            ),
            convert_options=pa.csv.ConvertOptions(
                column_types={column.name: pa.large_string() for column in COLUMNS},
                strings_can_be_null=True,
                null_values=[""],
            ),
        )
    except pa.ArrowInvalid as error:
        raise ManifestError(
            f"{path}: the lines below the header are not a UTF-8 CSV table: {error}"
        ) from error
    if uneven:
        row = uneven[0]
        raise ManifestError(
            f"{path}: line {row.number} has {row.actual_columns} values, {row.text[:60]!r}; "
            f"expected {row.expected_columns}, as line 2 names columns"
        )
    for column in COLUMNS:
        if column.name in table.column_names and column.dtype_name != "text":
            position = table.column_names.index(column.name)
            texts = table[column.name]
            try:
                numbers = texts.cast(column.dtype)
            except pa.ArrowInvalid as error:
                row_index = first_row_not_castable(texts, column.dtype)
                raise ManifestError(
                    f"{path}: line {row_index + _FIRST_CSV_LINE}: column {column.name!r} is "
                    f"{texts[row_index].as_py()!r}; expected {column.dtype_name}: {column.meaning}"
                ) from error
            table = table.set_column(position, column.name, numbers)
    return table


def _read_parquet(path: Path) -> tuple[ManifestHeader, pd.DataFrame]:
    try:
        # A plain path would make Arrow look for partitions in the names of the folders.
        with path.open("rb") as file:
            table = pa.parquet.read_table(file)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise ManifestError(f"{path} is not a Parquet file: {error}") from error
    metadata = table.schema.metadata or {}
    text = metadata.get(HEADER_KEY.encode())
    if text is None:
        raise ManifestError(
            f"{path} is a Parquet file but not a manifest: expected the header in its schema's "
            f"metadata under {HEADER_KEY!r}"
        )
    return _header_from(text, path), table.replace_schema_metadata(None).to_pandas()
