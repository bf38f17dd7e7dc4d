"""Builds a manifest from a folder of videos."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from pydantic import ValidationError

from featkd.errors import ManifestError, UsageError
from featkd.manifest.assemble import LocatedClip, assemble
from featkd.manifest.assign import check_fractions, split_of_group
from featkd.manifest.build_result import BuildResult, BuildWarning
from featkd.manifest.folder_tree import FolderTree, FoundVideo, find_videos
from featkd.manifest.schema import ManifestHeader, explain
from featkd.progress import Progress


def build_from_folders(
    root: Path,
    *,
    dataset: str,
    splits: Mapping[str, float] | None = None,
    seed: int = 0,
    classes: Sequence[str] | None = None,
    group_pattern: str | None = None,
    journal_path: Path | None = None,
    progress: Progress | None = None,
    num_workers: int = 4,
) -> BuildResult:
    r"""Make a manifest of a tree ``class/video`` or ``split/class/video``.

    Each file is decoded once, to count the frames that really decode, and hashed. A file that
    does not open is rejected with its reason; one that decodes in part is kept with the frames it
    has and named in the warnings.

    Args:
        root: folder of the videos; paths are relative to it.
        dataset: name of the dataset, for the header.
        splits: fraction by split, where the tree has no split folders; whole groups are drawn by
            a hash of their name, so real fractions are near these. Without it such a tree
            becomes one split, ``train``.
        seed: another seed draws another assignment.
        classes: class names in the order of their labels, which folders must be among; by
            default the names of the folders, sorted.
        group_pattern: regular expression with one group, searched in the relative path; what it
            captures is the ``group`` of the row, for example ``_(g\d+)_`` for UCF101. By default
            the group is the file's name without suffix.
        journal_path: where finished videos are noted, so that a building that was interrupted
            goes on; see `featkd.manifest.facts.read_facts`.
        progress: shows the files as they are read.
        num_workers: threads that decode and hash.

    Raises:
        ManifestError: if no video is found, or a folder is not among ``classes``.
        UsageError: if arguments contradict each other or the tree.
    """
    pattern = _compiled(group_pattern)
    if splits is not None:
        check_fractions(splits)
    tree = find_videos(root)
    if tree.has_splits and splits is not None:
        raise UsageError(
            f"{root} already has split folders, yet splits is {dict(splits)}; expected None"
        )
    fractions = splits or {"train": 1.0}
    try:
        header = ManifestHeader(
            dataset=dataset,
            version="1",
            classes=_class_names(tree, classes, root),
            protocol=_protocol(tree, fractions, seed),
            source=f"folder {root.resolve().name}",
            licence="unknown",
        )
    except ValidationError as error:
        raise ManifestError(f"{root}: header of the manifest: {explain(error)}") from error
    warnings = [
        BuildWarning(path, "is no class: no video lies directly in it")
        for path in tree.empty_classes
    ]
    clips = []
    for video in tree.videos:
        group = _group(video, pattern)
        if pattern and group is None:
            message = f"does not match {pattern.pattern!r}; its name is its group"
            warnings.append(BuildWarning(video.path, message))
        group = group or PurePosixPath(video.path).stem
        split = video.split or split_of_group(group, fractions, seed)
        clips.append(LocatedClip(video.video_id, video.path, video.class_name, split, group))
    result = assemble(
        root, header, clips, journal_path=journal_path, progress=progress, num_workers=num_workers
    )
    warnings += result.warnings
    if not tree.has_splits:
        served = {row["split"] for row in result.rows}
        warnings += [
            BuildWarning(".", f"split {name!r} received no video; add videos or change the seed")
            for name in fractions
            if name not in served
        ]
    return replace(result, warnings=tuple(warnings))


def _group(video: FoundVideo, pattern: re.Pattern[str] | None) -> str | None:
    """What the pattern captures, or None where there is no pattern or no match."""
    match = pattern.search(video.path) if pattern else None
    return match.group(1) or None if match else None


def _compiled(group_pattern: str | None) -> re.Pattern[str] | None:
    if group_pattern is None:
        return None
    try:
        pattern = re.compile(group_pattern)
    except re.error as error:
        raise UsageError(
            f"group_pattern {group_pattern!r} is not a regular expression: {error}"
        ) from error
    if pattern.groups != 1:
        raise UsageError(
            f"group_pattern {group_pattern!r} has {pattern.groups} groups; "
            r"expected one, for example '_(g\d+)_'"
        )
    return pattern


def _class_names(tree: FolderTree, classes: Sequence[str] | None, root: Path) -> tuple[str, ...]:
    found = {video.class_name for video in tree.videos}
    if classes is None:
        return tuple(sorted(found))
    for name in sorted(found - set(classes)):
        raise ManifestError(
            f"{root}: class folder {name!r} is not among the {len(classes)} classes given; "
            "expected folders named exactly like classes"
        )
    return tuple(classes)


def _protocol(tree: FolderTree, fractions: Mapping[str, float], seed: int) -> str:
    if tree.has_splits:
        return "splits as the folders name them"
    shares = ", ".join(f"{name} {fraction:g}" for name, fraction in fractions.items())
    return f"groups drawn by hash: {shares}; seed {seed}"
