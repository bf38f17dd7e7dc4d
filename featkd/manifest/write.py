"""Writes a manifest as CSV or Parquet, whole or not at all."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

from featkd.errors import ManifestError
from featkd.manifest.manifest import Manifest
from featkd.manifest.rows import restored_table
from featkd.manifest.schema import HEADER_KEY, SCHEMA


def write_manifest(manifest: Manifest, path: Path) -> None:
    """Write a manifest; a file of that name is replaced only when the new one is complete.

    Args:
        manifest: what to write. Its root is not written: keep the file in the root, or name the
            root when reading.
        path: a name that ends in ``.csv`` or ``.parquet``.

    Raises:
        ManifestError: if the suffix is another one or the file cannot be written.
    """
    match path.suffix.casefold():
        case ".csv":
            write = _write_csv
        case ".parquet":
            write = _write_parquet
        case suffix:
            raise ManifestError(f"{path} has suffix {suffix!r}; expected .csv or .parquet")
    try:
        with _replacement(path) as file:
            write(manifest, file)
    except OSError as error:
        raise ManifestError(f"{path} cannot be written: {error.strerror or error}") from error


@contextmanager
def _replacement(path: Path) -> Iterator[BinaryIO]:
    """A temporary file beside ``path`` that takes its place once it is safely on disk."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with temporary.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _write_csv(manifest: Manifest, file: BinaryIO) -> None:
    table = restored_table(manifest.rows)
    file.write(f"# {HEADER_KEY} {manifest.header.to_json()}\n".encode())
    # Arrow quotes all text or none; quotes that nobody needs make a file hard to read.
    texts = [table[field.name] for field in SCHEMA if pa.types.is_large_string(field.type)]
    needs_quotes = any(pc.any(pc.match_substring_regex(text, '[",]')).as_py() for text in texts)
    options = pa.csv.WriteOptions(
        quoting_style="needed" if needs_quotes else "none", quoting_header="none"
    )
    pa.csv.write_csv(table, file, options)


def _write_parquet(manifest: Manifest, file: BinaryIO) -> None:
    table = restored_table(manifest.rows)
    metadata = {HEADER_KEY: manifest.header.to_json()}
    pa.parquet.write_table(table.replace_schema_metadata(metadata), file, compression="zstd")
