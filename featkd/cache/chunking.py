"""How rows share the chunks that are compressed together."""

_LARGE_ROW_BYTES = 64 * 1024
_MAX_SHARED_CHUNK_BYTES = 256 * 1024


def rows_per_chunk(row_bytes: int, part_rows: int) -> int:
    """How many rows share a chunk.

    Large rows are a chunk each, so that a row can be read by itself. Small rows share chunks of up
    to 256 KiB that never cross a part.

    Args:
        row_bytes: of one row, before compression.
        part_rows: rows of a part.

    Returns:
        A divisor of ``part_rows``.
    """
    if row_bytes > _LARGE_ROW_BYTES:
        return 1
    return max(
        rows
        for rows in range(1, part_rows + 1)
        if part_rows % rows == 0 and (rows == 1 or rows * row_bytes <= _MAX_SHARED_CHUNK_BYTES)
    )
