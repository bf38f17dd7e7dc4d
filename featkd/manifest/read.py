"""Reads a manifest from CSV or Parquet."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
from pydantic import ValidationError

from featkd.errors import ManifestError
from featkd.manifest.manifest import Manifest
from featkd.manifest.rules import conform
from featkd.manifest.schema import COLUMNS, HEADER_KEY, ManifestHeader, explain
from featkd.manifest.structure import BATCH_ROWS, Origin, check_names, first_row_not_castable

# Line 1 holds the header, line 2 the names of the columns.
_FIRST_CSV_LINE = 3
_CSV_BLOCK_BYTES = 2 * 2**20
_PARQUET_READ_BYTES = 2**18


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
                return _read_csv(path, root or path.parent)
            case ".parquet":
                return _read_parquet(path, root or path.parent)
            case suffix:
                raise ManifestError(f"{path} has suffix {suffix!r}; expected .csv or .parquet")
    except OSError as error:
        raise ManifestError(f"{path} cannot be read: {error.strerror or error}") from error


def _header_from(text: str | bytes, path: Path) -> ManifestHeader:
    try:
        return ManifestHeader.model_validate_json(text)
    except ValidationError as error:
        raise ManifestError(f"{path}: header of the manifest: {explain(error)}") from error


def _read_csv(path: Path, root: Path) -> Manifest:
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
    origin = Origin(str(path), _FIRST_CSV_LINE)
    return Manifest.of_rows(header, conform(_csv_batches(path, origin), header, origin), root)


def _csv_batches(path: Path, origin: Origin) -> Iterator[pa.RecordBatch]:
    """Parse the lines below the header as text, then the numbers, so that a fault has a line."""
    uneven: list[pa.csv.InvalidRow] = []

    def keep_uneven(row: pa.csv.InvalidRow) -> str:
        uneven.append(row)
        return "skip"

    num_rows = 0
    try:
        reader = pa.csv.open_csv(
            path,
            # Only a single thread knows the line numbers of uneven rows.
            read_options=pa.csv.ReadOptions(
                skip_rows=1, use_threads=False, block_size=_CSV_BLOCK_BYTES
            ),
            parse_options=pa.csv.ParseOptions(
                ignore_empty_lines=False, invalid_row_handler=keep_uneven
            ),
            convert_options=pa.csv.ConvertOptions(
                column_types={column.name: pa.large_string() for column in COLUMNS},
                strings_can_be_null=True,
                null_values=[""],
            ),
        )
        check_names(reader.schema.names, origin)
        for batch in reader:
            if uneven:
                break
            yield _with_numbers(batch, origin, num_rows)
            num_rows += len(batch)
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


def _with_numbers(batch: pa.RecordBatch, origin: Origin, first_row: int) -> pa.RecordBatch:
    """A batch of text with its columns of numbers parsed."""
    columns = {}
    for column in COLUMNS:
        texts = batch[column.name]
        try:
            columns[column.name] = texts.cast(column.dtype)
        except pa.ArrowInvalid as error:
            row = first_row_not_castable(texts, column.dtype)
            raise ManifestError(
                f"{origin.name}: {origin.row(first_row + row)}: column {column.name!r} is "
                f"{texts[row].as_py()!r}; expected {column.dtype_name}: {column.meaning}"
            ) from error
    return pa.record_batch(columns)


def _read_parquet(path: Path, root: Path) -> Manifest:
    origin = Origin(str(path))
    with path.open("rb") as file:
        try:
            # Small reads and batches: one row group may hold every row.
            content = pa.parquet.ParquetFile(
                file, pre_buffer=False, buffer_size=_PARQUET_READ_BYTES
            )
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise ManifestError(f"{path} is not a Parquet file: {error}") from error
        text = (content.schema_arrow.metadata or {}).get(HEADER_KEY.encode())
        if text is None:
            raise ManifestError(
                f"{path} is a Parquet file but not a manifest: expected the header in its "
                f"schema's metadata under {HEADER_KEY!r}"
            )
        header = _header_from(text, path)
        check_names(content.schema_arrow.names, origin)
        rows = conform(_parquet_batches(content, path), header, origin)
    return Manifest.of_rows(header, rows, root)


def _parquet_batches(content: pa.parquet.ParquetFile, path: Path) -> Iterator[pa.RecordBatch]:
    try:
        yield from content.iter_batches(BATCH_ROWS, use_threads=False)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise ManifestError(f"{path} is not a sound Parquet file: {error}") from error
