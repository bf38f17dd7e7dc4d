"""The folder of a new cache."""

from pathlib import Path

from featkd.errors import CacheError

# What a creation that was killed may have left behind, and nothing else.
_UNFINISHED_CREATION = {"writer.lock", "rows", "zarr.json", "zarr.json.tmp", "arrays", "cache.h5",
                        "cache.h5.tmp", "featkd.json.tmp", "featkd.copy.json.tmp"}  # fmt: skip


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
