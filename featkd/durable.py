"""Writing files that survive a crash: whole or not at all, and on the disk before returning."""

import os
from pathlib import Path


def replace_file(path: Path, content: bytes) -> None:
    """Put content into a file, wholly or not at all, and onto the disk before returning.

    Raises:
        OSError: it cannot be written; names the file. What was there before is still there.
    """
    temporary = path.with_name(f"{path.name}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        # The system names no file when a write, as opposed to opening, finds the disk full.
        error.filename = str(path)
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
