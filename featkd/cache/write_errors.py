"""Failures to write a cache, said clearly."""

import errno
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


def _error_number(error: OSError | ValueError) -> int | None:
    if isinstance(error, OSError):
        return error.errno
    found = _TENSORSTORE_OS_ERROR.search(str(error))
    return int(found[1]) if found else None
