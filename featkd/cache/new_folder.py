"""The folder of a new cache."""

from pathlib import Path

import pandas as pd

from featkd.cache.header_file import HeaderFile
from featkd.cache.row_table import encode_row_table
from featkd.cache.spec import CacheHeader
from featkd.cache.write_errors import writing_to
from featkd.cache.zarr_array import GROUP_METADATA
from featkd.durable import make_folder, replace_file
from featkd.errors import CacheError

# What a creation that was killed may have left behind, and nothing else.
_UNFINISHED_CREATION = {
    "writer.lock",
    "rows.parquet",
    "rows.parquet.tmp",
    "zarr.json",
    "zarr.json.tmp",
    "arrays",
    "featkd.json.tmp",
}


def require_free_folder(path: Path) -> None:
    """Check that a folder is empty, or holds only what an unfinished creation left.

    Raises:
        CacheError: it holds something else, a cache for example.
    """
    strangers = {entry.name for entry in path.iterdir()} - _UNFINISHED_CREATION
    if strangers:
        raise CacheError(
            f"{path} is not empty (it holds {min(strangers)}); "
            "expected a new folder for a new cache"
        )


def lay_out_folder(path: Path, rows: pd.DataFrame, part_rows: int) -> None:
    """Put a cache without layers into a folder; the header, which makes it a cache, comes last.

    Raises:
        StorageFullError: the disk is full.
    """
    with writing_to(path):
        replace_file(path / "rows.parquet", encode_row_table(rows))
        make_folder(path / "arrays")
        replace_file(path / "arrays" / "zarr.json", GROUP_METADATA)
        replace_file(path / "zarr.json", GROUP_METADATA)
        HeaderFile(path).replace(CacheHeader(num_rows=len(rows), part_rows=part_rows))
