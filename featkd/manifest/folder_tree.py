"""Finds videos in folders named after classes."""

import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from featkd.errors import ManifestError

VIDEO_SUFFIXES = (
    ".mp4", ".avi", ".mkv", ".mov", ".webm", ".gif", ".m4v", ".mpg", ".mpeg", ".wmv", ".flv",
    ".ts", ".3gp",
)  # fmt: skip
SPLIT_OF_FOLDER = {"train": "train", "val": "val", "validation": "val", "test": "test"}


@dataclass(frozen=True, slots=True)
class FoundVideo:
    """A file that looks like a video, by its suffix.

    Attributes:
        path: relative to the root, with / between folders.
        video_id: the path without its suffix, or with it where the name would not be unique.
        class_name: name of its folder.
        split: split that its top folder names, or None in a tree without split folders.
    """

    path: str
    video_id: str
    class_name: str
    split: str | None


@dataclass(frozen=True, slots=True)
class FolderTree:
    """What lies below a root.

    Attributes:
        videos: sorted by path.
        has_splits: whether the top folders are splits.
        empty_classes: class folders, relative to the root, without a video directly inside.
    """

    videos: tuple[FoundVideo, ...]
    has_splits: bool
    empty_classes: tuple[str, ...] = field(default=())


def find_videos(root: Path) -> FolderTree:
    """List the videos of a tree ``class/video`` or ``split/class/video``.

    The top folders are splits where each of them is called train, val, validation or test.
    Hidden files and folders, and files with other suffixes, are passed over. Links are followed.

    Raises:
        ManifestError: if the root is not a folder or holds no video where one is looked for.
    """
    if not root.is_dir():
        raise ManifestError(f"{root} is not a folder; expected the folder of the videos")
    top = _folders(root)
    has_splits = bool(top) and all(name in SPLIT_OF_FOLDER for name in top)
    class_folders = (
        [(split, f"{split}/{name}") for split in top for name in _folders(root / split)]
        if has_splits
        else [(None, name) for name in top]
    )
    located: list[tuple[str, str, str | None]] = []
    empty: list[str] = []
    for split_folder, class_folder in class_folders:
        names = _video_files(root / class_folder)
        if not names:
            empty.append(class_folder)
        split = None if split_folder is None else SPLIT_OF_FOLDER[split_folder]
        class_name = class_folder.rpartition("/")[2]
        located += [(f"{class_folder}/{name}", class_name, split) for name in names]
    if not located:
        raise ManifestError(
            f"{root} holds no videos: looked for <class>/<video> and <split>/<class>/<video> "
            f"(split: {', '.join(SPLIT_OF_FOLDER)}) with suffix {' '.join(VIDEO_SUFFIXES)}, "
            f"and found {_describe(top)}"
        )
    video_ids = _unique_names([path for path, _, _ in located])
    videos = sorted(
        (FoundVideo(path, video_ids[path], name, split) for path, name, split in located),
        key=lambda video: video.path,
    )
    return FolderTree(tuple(videos), has_splits, tuple(empty))


def _folders(folder: Path) -> list[str]:
    with os.scandir(folder) as entries:
        return sorted(e.name for e in entries if e.is_dir() and not e.name.startswith("."))


def _video_files(folder: Path) -> list[str]:
    with os.scandir(folder) as entries:
        # A broken link is neither folder nor file; it is listed so that it will be reported.
        return [
            entry.name
            for entry in entries
            if not entry.name.startswith(".")
            and entry.name.casefold().endswith(VIDEO_SUFFIXES)
            and not entry.is_dir()
        ]


def _unique_names(paths: list[str]) -> dict[str, str]:
    """Map each path to itself without suffix, where no other path could get the same name."""
    stems = {path: path.rpartition(".")[0] for path in paths}
    num_with_stem = Counter(stems.values())
    taken = set(paths)
    return {
        path: stem if num_with_stem[stem] == 1 and stem not in taken else path
        for path, stem in stems.items()
    }


def _describe(folders: list[str]) -> str:
    if not folders:
        return "no folders"
    listed = ", ".join(folders[:5]) + (", ..." if len(folders) > 5 else "")
    return f"{len(folders)} folders without such files: {listed}"
