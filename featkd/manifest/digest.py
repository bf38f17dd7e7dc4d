"""The digest of a manifest: equal contents give equal digests, whatever the file format."""

import hashlib

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from featkd.manifest.rows import characters_of, restored, restored_column
from featkd.manifest.schema import COLUMNS, ManifestHeader


def digest_of(header: ManifestHeader, rows: pa.Table) -> str:
    """SHA-256 over the header and the rows, in hexadecimal.

    The header enters as JSON with sorted keys. Each column enters with its name and type; numbers
    as little-endian 8-byte values with NaN for an absent one, text as all lengths (-1 for an
    absent value) followed by all characters in UTF-8. The order of rows counts; file format,
    data-frame storage and the folder of the videos do not.

    Args:
        header: the manifest's header.
        rows: the manifest's rows, as they are kept.
    """
    digest = hashlib.sha256()
    text = header.to_json().encode()
    digest.update(f"{len(text)}:".encode() + text + f":{len(rows)} rows".encode())
    for column in COLUMNS:
        digest.update(f":{column.name}:{column.dtype_name}:".encode())
        if column.dtype_name == "text":
            _update_text(digest, rows[column.name])
        else:
            numbers = restored_column(rows, column.name).to_numpy()
            little_endian = numbers.astype(numbers.dtype.newbyteorder("<"), copy=False)
            # The bits of NaN are not fixed; all absent values must look alike.
            if column.nullable:
                little_endian = np.where(np.isnan(numbers), np.nan, little_endian)
            digest.update(np.ascontiguousarray(little_endian).data)
    return digest.hexdigest()


def _update_text(digest: "hashlib._Hash", column: pa.ChunkedArray) -> None:
    for chunk in column.chunks:
        lengths = pc.fill_null(pc.binary_length(restored(chunk)), -1).to_numpy()
        digest.update(np.ascontiguousarray(lengths, dtype="<i8").data)
    for chunk in column.chunks:
        digest.update(characters_of(pc.fill_null(restored(chunk), "")))
