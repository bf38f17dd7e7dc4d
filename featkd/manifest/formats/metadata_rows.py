"""Rows of ``metadata.jsonl`` and ``metadata.csv``."""

import csv
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path

from featkd.errors import ManifestError
from featkd.manifest.schema import COLUMNS
from featkd.manifest.text_file import read_text

_DTYPE_NAMES = {column.name: column.dtype_name for column in COLUMNS}


def metadata_rows(path: Path) -> Iterator[tuple[int, dict[str, object]]]:
    """Each row with the line it ends in; its keys are the columns' names.

    Args:
        path: JSON lines, or CSV whose first line names columns. In CSV an empty cell is an absent
            value, and columns that a manifest has are read as its types.

    Raises:
        ManifestError: naming file, line, value and what was expected.
    """
    text = read_text(path, "metadata of videos")
    return _csv_rows(text, path) if path.suffix == ".csv" else _json_rows(text, path)


def _json_rows(text: str, path: Path) -> Iterator[tuple[int, dict[str, object]]]:
    for line, content in enumerate(text.split("\n"), start=1):
        if not content.strip():
            continue
        try:
            row = json.loads(content)
        except json.JSONDecodeError as error:
            raise ManifestError(f"{path}: line {line} is not JSON: {error}") from error
        if not isinstance(row, dict):
            raise ManifestError(f"{path}: line {line} is {content[:60]!r}; expected an object")
        yield line, row


def _csv_rows(text: str, path: Path) -> Iterator[tuple[int, dict[str, object]]]:
    reader = csv.reader(io.StringIO(text, newline=""))
    names = next(reader, [])
    for cells in reader:
        if len(cells) != len(names):
            raise ManifestError(
                f"{path}: line {reader.line_num} has {len(cells)} values; expected {len(names)}, "
                "as line 1 names columns"
            )
        row: dict[str, object] = {}
        for name, cell in zip(names, cells, strict=True):
            try:
                row[name] = _value(name, cell)
            except ValueError as error:
                raise ManifestError(
                    f"{path}: line {reader.line_num}: {name} is {cell!r}; expected "
                    f"{_DTYPE_NAMES[name]}"
                ) from error
        yield reader.line_num, row


def _value(name: str, cell: str) -> object:
    if not cell:
        return None
    # Labels may be numbers or names.
    if name == "label" and not re.fullmatch(r"-?\d+", cell):
        return cell
    match _DTYPE_NAMES.get(name):
        case "int64":
            return int(cell)
        case "float64":
            return float(cell)
        case _:
            return cell
