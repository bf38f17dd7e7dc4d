"""Writing files that survive a crash, and saying clearly when the disk is full."""

import errno
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from featkd.errors import CacheError, StorageFullError

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_TENSORSTORE_OS_ERROR = re.compile(r"os_error_code='(\d+)'")


@contextmanager
def writing_to(cache: Path) -> Iterator[None]:
    """Turn failures to write, of the system or of tensorstore, into errors of the tree.

    Args:
        cache: folder of the cache that is written.

    Raises:
        StorageFullError: there is no room: disk, quota or file size limit.
        CacheError: any other failure to write.
    """
    try:
        yield
    except (OSError, ValueError) as error:  # tensorstore reports everything as ValueError
        if _error_number(error) in _FULL:
            raise StorageFullError(
                f"{cache} has no room left ({shutil.disk_usage(cache).free} bytes free): {error}; "
                "the committed parts are safe: make room and run the same command again to go on"
            ) from error
        raise CacheError(f"{cache} cannot be written: {error}") from error


def replace_file(path: Path, content: bytes) -> None:
    """Put content into a file, wholly or not at all, and onto the disk before returning."""
    temporary = path.with_name(f"{path.name}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def make_folder(path: Path) -> None:
    """Make a folder and its parents, and put their names onto the disk before returning."""
    missing = []
    while not path.is_dir():
        missing.append(path)
        path = path.parent
    for folder in reversed(missing):
        folder.mkdir(exist_ok=True)
        sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Put the names of the files in a folder onto the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _error_number(error: OSError | ValueError) -> int | None:
    if isinstance(error, OSError):
        return error.errno
    found = _TENSORSTORE_OS_ERROR.search(str(error))
    return int(found[1]) if found else None
