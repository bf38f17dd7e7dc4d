"""Digests of stored files."""

import hashlib
import os
from pathlib import Path

from featkd.cache.commit import FileDigest
from featkd.durable import sync_folder


def digest_file(path: Path) -> FileDigest:
    """Size and SHA-256 of a file.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        return FileDigest(sha256=sha256, num_bytes=file.tell())


def sync_file(path: Path) -> None:
    """Put a file and its name onto the disk for good.

    Raises:
        OSError: it cannot be opened or written.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    sync_folder(path.parent)
