"""Finds the videos that lists name among those that are there."""

import os
from collections.abc import Iterator
from pathlib import Path

from featkd.errors import ManifestError
from featkd.manifest.folder_tree import VIDEO_SUFFIXES


def videos_below(root: Path) -> list[str]:
    """Every file below a folder that looks like a video by its suffix, sorted.

    Hidden files and folders are passed over; links are followed, each folder once.

    Returns:
        Paths relative to the root, with / between folders.

    Raises:
        ManifestError: the root is not a folder.
    """
    if not root.is_dir():
        raise ManifestError(f"{root} is not a folder; expected the folder of the videos")
    return sorted(_walk(root, "", set()))


def without_suffix(path: str) -> str:
    """A path without the suffix of a video; another suffix is part of the name."""
    stem, dot, suffix = path.rpartition(".")
    return stem if stem and f"{dot}{suffix}".casefold() in VIDEO_SUFFIXES else path


class VideoIndex:
    """The videos below a root, found by the names that lists give them.

    A list may write another suffix, another case, or fewer or more folders than there are. What is
    looked for is, in this order: the very path, up to suffix and case; a file of that name in
    whatever folder. Where several fit, one written exactly so wins.

    Args:
        paths: the videos, relative to their root.
    """

    def __init__(self, paths: list[str]) -> None:
        self.paths = paths
        self._by_path: dict[str, list[str]] = {}
        self._by_name: dict[str, list[str]] = {}
        for path in paths:
            key = without_suffix(path).casefold()
            self._by_path.setdefault(key, []).append(path)
            self._by_name.setdefault(key.rpartition("/")[2], []).append(path)

    def candidates(self, listed: str) -> list[str]:
        """The videos that a listed path can mean: none, the one, or several that fit alike."""
        key = without_suffix(listed).casefold()
        fitting = self._by_path.get(key) or self._by_name.get(key.rpartition("/")[2], [])
        name = listed.rpartition("/")[2]
        for exact in (
            lambda path: path == listed,
            lambda path: path.rpartition("/")[2] == name,
            lambda path: without_suffix(path).rpartition("/")[2] == without_suffix(name),
        ):
            chosen = [path for path in fitting if exact(path)]
            if len(chosen) == 1:
                return chosen
        return fitting


def _walk(root: Path, folder: str, seen: set[tuple[int, int]]) -> Iterator[str]:
    status = (root / folder).stat()
    if (status.st_dev, status.st_ino) in seen:
        return
    seen.add((status.st_dev, status.st_ino))
    with os.scandir(root / folder) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            path = f"{folder}/{entry.name}" if folder else entry.name
            if entry.is_dir():
                yield from _walk(root, path, seen)
            elif entry.name.casefold().endswith(VIDEO_SUFFIXES):
                yield path
