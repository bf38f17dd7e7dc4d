"""Builds a manifest from a folder of videos."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePosixPath

import pandas as pd
from pydantic import ValidationError

from featkd.errors import ManifestError, UsageError, VideoError
from featkd.manifest.assign import check_fractions, split_of_group
from featkd.manifest.checksum import sha256_of
from featkd.manifest.folder_tree import FolderTree, FoundVideo, find_videos
from featkd.manifest.manifest import Manifest
from featkd.manifest.parallel import map_in_threads
from featkd.manifest.schema import ManifestHeader, explain
from featkd.manifest.structure import path_fault
from featkd.progress import Progress, Silent

Row = dict[str, object]


@dataclass(frozen=True, slots=True)
class Rejected:
    """A file that looks like a video by its name but cannot serve.

    Attributes:
        path: relative to the root.
        reason: why it cannot serve.
        row: the row it would have, with ``num_frames`` 0; None where no manifest could hold it.
    """

    path: str
    reason: str
    row: Row | None


@dataclass(frozen=True, slots=True)
class BuildWarning:
    """Something the owner of the videos should know; ``path`` is relative to the root."""

    path: str
    message: str


@dataclass(frozen=True, slots=True)
class BuildResult:
    """A manifest built from folders, and what did not go smoothly.

    Attributes:
        manifest: the videos that serve, sorted by path.
        rejected: the files that do not, sorted by path.
        warnings: what was kept or passed over with a doubt.
    """

    manifest: Manifest
    rejected: tuple[Rejected, ...]
    warnings: tuple[BuildWarning, ...]

    def with_rejected(self) -> Manifest:
        """The manifest with the rejected files as rows of 0 frames, sorted by path.

        An extraction over it records their failure instead of passing over them. Files whose
        names no manifest can hold stay out.
        """
        rows = [rejected.row for rejected in self.rejected if rejected.row is not None]
        if not rows:
            return self.manifest
        table = pd.concat([self.manifest.table, pd.DataFrame(rows)], ignore_index=True)
        return replace(self.manifest, table=table.sort_values("path", ignore_index=True))


def build_from_folders(
    root: Path,
    *,
    dataset: str,
    splits: Mapping[str, float] | None = None,
    seed: int = 0,
    classes: Sequence[str] | None = None,
    group_pattern: str | None = None,
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
        progress: shows the files as they are read.
        num_workers: threads that decode and hash.

    Raises:
        ManifestError: if no video is found or none opens, or a folder is not among ``classes``.
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
    plan = _RowPlan(root, header.classes, fractions, seed, pattern)
    rows: list[Row] = []
    rejected: list[Rejected] = []
    warnings = [
        BuildWarning(path, "is no class: no video lies directly in it")
        for path in tree.empty_classes
    ]
    outcomes = (progress or Silent()).track(
        map_in_threads(partial(_read, plan), tree.videos, num_workers=num_workers),
        description="Reading videos",
        total=len(tree.videos),
        unit="video",
    )
    for outcome in outcomes:
        warnings += outcome.warnings
        if outcome.rejected is None:
            rows.append(outcome.row)
        else:
            rejected.append(outcome.rejected)
    if not rows:
        raise ManifestError(
            f"{root}: none of its {len(tree.videos)} videos serves; "
            f"the first, {rejected[0].path}: {rejected[0].reason}"
        )
    manifest = Manifest(header, pd.DataFrame(rows), root)
    if not tree.has_splits:
        warnings += [
            BuildWarning(".", f"split {name!r} received no video; add videos or change the seed")
            for name in fractions
            if name not in manifest.splits()
        ]
    return BuildResult(manifest, tuple(rejected), tuple(warnings))


@dataclass(frozen=True, slots=True)
class _RowPlan:
    """What turns a found video into a row."""

    root: Path
    classes: tuple[str, ...]
    fractions: Mapping[str, float]
    seed: int
    pattern: re.Pattern[str] | None

    def group(self, video: FoundVideo) -> str | None:
        """What the pattern captures, or None where there is no pattern or no match."""
        match = self.pattern.search(video.path) if self.pattern else None
        return match.group(1) or None if match else None


@dataclass(frozen=True, slots=True)
class _Outcome:
    row: Row
    rejected: Rejected | None
    warnings: tuple[BuildWarning, ...]


def _read(plan: _RowPlan, video: FoundVideo) -> _Outcome:
    fault = path_fault(video.path)
    if fault is not None:
        shown = video.path.encode("ascii", "backslashreplace").decode()
        return _Outcome({}, Rejected(shown, f"its name {fault}; rename it", None), ())
    group = plan.group(video)
    warnings: list[BuildWarning] = []
    if plan.pattern and group is None:
        message = f"does not match {plan.pattern.pattern!r}; its name is its group"
        warnings.append(BuildWarning(video.path, message))
    group = group or PurePosixPath(video.path).stem
    row: Row = {
        "video_id": video.video_id,
        "path": video.path,
        "label": plan.classes.index(video.class_name),
        "class_name": video.class_name,
        "split": video.split or split_of_group(group, plan.fractions, plan.seed),
        "start_sec": 0.0,
        "end_sec": None,
        "num_frames": 0,
        "fps": 0.0,
        "width": 0,
        "height": 0,
        "group": group,
        "sha256": None,
    }
    # Imported where it serves: reading a manifest needs neither decoder nor torch.
    from featkd.video.probe import probe

    path = plan.root / video.path
    try:
        row["sha256"] = sha256_of(path)
        info = probe(path)
    except VideoError as error:
        return _Outcome(row, Rejected(video.path, str(error), row), tuple(warnings))
    except OSError as error:
        reason = f"cannot be read: {error.strerror or error}"
        return _Outcome(row, Rejected(video.path, reason, row), tuple(warnings))
    row |= {
        "num_frames": info.num_frames,
        "fps": info.fps,
        "width": info.width,
        "height": info.height,
    }
    if info.complaint is not None:
        warnings.append(BuildWarning(video.path, info.complaint))
    return _Outcome(row, None, tuple(warnings))


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
