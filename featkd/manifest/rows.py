"""The rows of a manifest as they lie in memory: every value, in half the space of a data frame.

Values that recur are kept once and numbered, checksums as their 32 bytes, text with short offsets.
A manifest of a million videos takes some 170 MB.
"""

import binascii

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from featkd.manifest.schema import SCHEMA, SHA256_CHARACTERS

_RECURRING = ("label", "class_name", "split", "fps", "width", "height")


def keep(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Bring rows that obey every rule of a manifest into the form they are kept in.

    Args:
        batch: rows with the types of `SCHEMA`.
    """
    columns = {}
    for name in batch.schema.names:
        column = batch[name]
        if name in _RECURRING:
            column = column.dictionary_encode()
        elif name == "sha256":
            column = _bytes_of(column)
        elif pa.types.is_large_string(column.type):
            column = column.cast(pa.string())
        # Arrow's own pool is slow to return what was in it; what stays is copied out of it.
        columns[name] = pa.concat_arrays([column], memory_pool=pa.system_memory_pool())
    return pa.record_batch(columns)


def restored(kept: pa.Array) -> pa.Array:
    """A kept array with its type of `SCHEMA`."""
    if pa.types.is_dictionary(kept.type):
        return kept.dictionary_decode()
    if pa.types.is_fixed_size_binary(kept.type):
        return _hexadecimal(kept)
    if pa.types.is_string(kept.type):
        return kept.cast(pa.large_string())
    return kept


def restored_column(rows: pa.Table, name: str) -> pa.ChunkedArray:
    """A column of kept rows with its type of `SCHEMA`."""
    return pa.chunked_array([restored(chunk) for chunk in rows[name].chunks])


def restored_table(rows: pa.Table) -> pa.Table:
    """Kept rows, all columns of them or some, with the types of `SCHEMA`."""
    return pa.table(
        [restored_column(rows, name) for name in rows.column_names],
        schema=pa.schema([SCHEMA.field(name) for name in rows.column_names]),
    )


def _bytes_of(sha256: pa.Array) -> pa.Array:
    """Checksums as 32 bytes each, from hexadecimal text of 64 characters or null."""
    text = pc.fill_null(sha256, "0" * SHA256_CHARACTERS)
    raw = binascii.unhexlify(characters_of(text))
    dtype = pa.binary(SHA256_CHARACTERS // 2)
    kept = pa.Array.from_buffers(dtype, len(text), [None, pa.py_buffer(raw)])
    return pc.if_else(pc.is_valid(sha256), kept, pa.scalar(None, dtype))


def _hexadecimal(kept: pa.Array) -> pa.Array:
    """The reverse of `_bytes_of`."""
    num_bytes = kept.type.byte_width
    raw = memoryview(kept.buffers()[1])[kept.offset * num_bytes :][: len(kept) * num_bytes]
    ends = np.arange(len(kept) + 1, dtype=np.int64) * SHA256_CHARACTERS
    text = pa.LargeStringArray.from_buffers(
        len(kept), pa.py_buffer(ends), pa.py_buffer(binascii.hexlify(raw))
    )
    return pc.if_else(pc.is_valid(kept), text, pa.scalar(None, text.type))


def characters_of(text: pa.Array) -> memoryview:
    """All characters of a large-string array, in UTF-8, straight from its buffer."""
    _, offsets_buffer, characters = text.buffers()
    offsets = np.frombuffer(offsets_buffer, dtype=np.int64)
    first, last = offsets[text.offset], offsets[text.offset + len(text)]
    return memoryview(characters)[first:last] if last > first else memoryview(b"")
