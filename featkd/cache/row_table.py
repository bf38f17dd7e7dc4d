"""The sample table of a cache: which video and view every row holds."""

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd

from featkd.errors import CacheError

_ROW_GROUP = 65536

ROW_COLUMNS = (
    "row",
    "video_id",
    "view_index",
    "label",
    "split",
    "frame_indices",
    "crop_box",
    "flip",
)


def check_row_table(rows: pd.DataFrame) -> None:
    """Check a sample table before a cache is made of it. Further columns are allowed.

    Raises:
        CacheError: a column of `ROW_COLUMNS` is missing, there is no row, or ``row`` does not
            count 0, 1, 2 and so on.
    """
    missing = [column for column in ROW_COLUMNS if column not in rows.columns]
    if missing:
        raise CacheError(
            f"the sample table lacks column {', '.join(missing)}; it has {', '.join(rows.columns)}"
        )
    if rows.empty:
        raise CacheError("the sample table is empty; expected at least one row")
    if not np.array_equal(rows["row"].to_numpy(), np.arange(len(rows))):
        raise CacheError(f"column row of the sample table does not count from 0 to {len(rows) - 1}")


def encode_row_table(rows: pd.DataFrame) -> bytes:
    """Write a sample table as Parquet."""
    buffer = BytesIO()
    # Groups of rows bound the memory that reading some columns takes.
    rows.reset_index(drop=True).to_parquet(buffer, engine="pyarrow", row_group_size=_ROW_GROUP)
    return buffer.getvalue()


def decode_row_table(source: Path | BytesIO, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """Read a sample table back; sequences come back as NumPy arrays.

    Args:
        source: a file of Parquet, or its content.
        columns: which columns; all where none is named.

    Raises:
        CacheError: it is not Parquet, or lacks a column.
    """
    try:
        names = list(columns) if columns is not None else None
        return pd.read_parquet(
            source, engine="pyarrow", columns=names, use_threads=False, pre_buffer=False
        )
    except (ValueError, OSError, KeyError) as error:
        raise CacheError(f"the sample table {source} cannot be read: {error}") from error
