"""One writer at a time, held by a lock that the system releases when the writer dies."""

import fcntl
import json
import os
import socket
from datetime import UTC, datetime
from pathlib import Path

from featkd.cache.write_errors import writing_to
from featkd.errors import CacheError, CacheLockedError


class WriterLock:
    """The right to write to a cache, from construction to `release`.

    The file stays behind, because removing it would let two writers lock two files of one name;
    what it says counts only while it is locked.

    Args:
        path: the lock file; made if it does not exist.

    Raises:
        CacheLockedError: another writer holds the lock; the message says who.
        StorageFullError: the disk is full.
        CacheError: the file cannot be made or the file system knows no locks.
    """

    def __init__(self, path: Path) -> None:
        with writing_to(path.parent):
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = _describe_holder(self._descriptor)
            os.close(self._descriptor)
            raise CacheLockedError(
                f"{path.parent} is being written by {holder}; "
                "wait until it ends, or open the cache for reading only"
            ) from error
        except OSError as error:
            os.close(self._descriptor)
            raise CacheError(f"{path} cannot be locked: {error}") from error
        self._held = True
        myself = {
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "since": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        try:
            with writing_to(path.parent):
                os.ftruncate(self._descriptor, 0)
                os.pwrite(self._descriptor, json.dumps(myself).encode(), 0)
        except CacheError:
            self.release()
            raise

    def release(self) -> None:
        """Let others write. May be called twice."""
        if self._held:
            self._held = False
            # Closing alone would not do: forked workers hold the descriptor too.
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)
            os.close(self._descriptor)


def _describe_holder(descriptor: int) -> str:
    try:
        holder = json.loads(os.pread(descriptor, 4096, 0))
        return f"process {holder['pid']} on {holder['host']} since {holder['since']}"
    except (ValueError, KeyError, TypeError):
        # The holder has locked the file but not written its name yet.
        return "another process"
