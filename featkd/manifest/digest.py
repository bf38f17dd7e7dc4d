"""The digest of a manifest: equal contents give equal digests, whatever the file format."""

import hashlib

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from featkd.manifest.schema import COLUMNS, Column, ManifestHeader


def digest_of(header: ManifestHeader, table: pd.DataFrame) -> str:
    """SHA-256 over the header and the rows, in hexadecimal.

    The header enters as JSON with sorted keys. Each column enters with its name and type; numbers
    as little-endian 8-byte values with NaN for an absent one, text as all lengths (-1 for an
    absent value) followed by all characters in UTF-8. The order of rows counts; file format,
    data-frame storage and the folder of the videos do not.

    Args:
        header: the manifest's header.
        table: a table with the manifest's columns and types, as `Manifest` holds it.
    """
    digest = hashlib.sha256()
    text = header.to_json().encode()
    digest.update(f"{len(text)}:".encode() + text + f":{len(table)} rows".encode())
    for column in COLUMNS:
        digest.update(f":{column.name}:{column.dtype_name}:".encode())
        if column.dtype_name == "text":
            _update_text(digest, table[column.name], column)
        else:
            numbers = table[column.name].to_numpy(np.int64 if column.dtype == pa.int64() else float)
            little_endian = numbers.astype(numbers.dtype.newbyteorder("<"), copy=False)
            # The bits of NaN are not fixed; all absent values must look alike.
            if column.nullable:
                little_endian = np.where(np.isnan(numbers), np.nan, little_endian)
            digest.update(np.ascontiguousarray(little_endian).data)
    return digest.hexdigest()


def _update_text(digest: "hashlib._Hash", series: pd.Series, column: Column) -> None:
    converted = pa.array(series, type=column.dtype, from_pandas=True)
    chunks = converted.chunks if isinstance(converted, pa.ChunkedArray) else [converted]
    for chunk in chunks:
        lengths = pc.fill_null(pc.binary_length(chunk), -1).to_numpy(zero_copy_only=False)
        digest.update(np.ascontiguousarray(lengths, dtype="<i8").data)
    for chunk in chunks:
        _update_characters(digest, pc.fill_null(chunk, ""))


def _update_characters(digest: "hashlib._Hash", chunk: pa.Array) -> None:
    """Hash the characters of a large-string array without nulls, straight from its buffer."""
    _, offsets_buffer, characters = chunk.buffers()
    offsets = np.frombuffer(offsets_buffer, dtype=np.int64)
    first, last = offsets[chunk.offset], offsets[chunk.offset + len(chunk)]
    if last > first:
        digest.update(memoryview(characters)[first:last])
