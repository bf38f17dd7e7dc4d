"""Builds a manifest from the official lists of a dataset and a folder of its videos."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from featkd.errors import ManifestError, UsageError
from featkd.manifest.annotations import AnnotationHeader, Annotations
from featkd.manifest.assemble import LocatedClip, assemble
from featkd.manifest.build_result import BuildResult, BuildWarning
from featkd.manifest.class_index import ClassIndex
from featkd.manifest.datasets import LIST_FORMATS
from featkd.manifest.datasets.ucf101 import split_ucf101_by_group
from featkd.manifest.descriptor import DatasetDescriptor
from featkd.manifest.list_files import ListFiles
from featkd.manifest.listing import ListedClip, Listing
from featkd.manifest.schema import ManifestHeader
from featkd.manifest.video_index import VideoIndex, videos_below, without_suffix
from featkd.progress import Progress


def read_listing(
    lists: Sequence[Path], descriptor: DatasetDescriptor, *, fold: str = "1"
) -> Listing:
    """Read the lists of a dataset; no video is touched.

    Args:
        lists: the list files, or folders of them.
        descriptor: the dataset; it says which form the lists have.
        fold: which of its splits to read.

    Raises:
        ManifestError: a list is missing or wrong, naming file, line, value and expectation.
        UsageError: the dataset has no lists or no such fold.
    """
    if descriptor.lists is None or descriptor.lists not in LIST_FORMATS:
        raise UsageError(
            f"lists of {descriptor.dataset} have the form {descriptor.lists!r}; "
            f"expected one of {', '.join(LIST_FORMATS)}"
        )
    descriptor.protocol_of(fold)
    read = LIST_FORMATS[descriptor.lists]
    listing = read(ListFiles(lists), ClassIndex(descriptor.classes), fold)
    if not listing.clips:
        raise ManifestError(
            f"{', '.join(map(str, lists))}: the lists name no clip; expected at least one"
        )
    return listing


def build_from_lists(
    root: Path,
    lists: Sequence[Path],
    descriptor: DatasetDescriptor,
    *,
    fold: str = "1",
    journal_path: Path | None = None,
    progress: Progress | None = None,
    num_workers: int = 4,
) -> BuildResult:
    """Make a manifest of the clips that the lists of a dataset name.

    A list may write a path otherwise than the file is called, see
    `featkd.manifest.video_index.VideoIndex`; a name that differs in case is warned of. A listed
    clip without a file is rejected.

    Args:
        root: folder of the videos; paths are relative to it.
        lists: the list files, or folders of them.
        descriptor: the dataset.
        fold: which of its splits to use.
        journal_path: where finished videos are noted, see `featkd.manifest.facts.read_facts`.
        progress: shows the files as they are read.
        num_workers: threads that decode and hash.

    Raises:
        ManifestError: a list is missing or wrong.
        UsageError: the dataset has no such fold.
    """
    listing = read_listing(lists, descriptor, fold=fold)
    index = VideoIndex(videos_below(root))
    return _build(root, listing, index, descriptor, fold, journal_path, progress, num_workers)


def build_ucf101_by_group(
    root: Path,
    descriptor: DatasetDescriptor,
    *,
    fold: str = "1",
    journal_path: Path | None = None,
    progress: Progress | None = None,
    num_workers: int = 4,
) -> BuildResult:
    """Make a manifest of UCF101 without its lists, by the groups in the files' names.

    It equals what `build_from_lists` makes of the official lists where every video is there.

    Args:
        root: folder of the videos; paths are relative to it.
        descriptor: that of UCF101.
        fold: 1, 2 or 3.
        journal_path: where finished videos are noted, see `featkd.manifest.facts.read_facts`.
        progress: shows the files as they are read.
        num_workers: threads that decode and hash.

    Raises:
        ManifestError: there is no video of UCF101.
        UsageError: it is another dataset, or there is no such fold.
    """
    if descriptor.lists != "ucf101":
        raise UsageError(
            f"{descriptor.dataset} cannot be split by the names of its files; expected its lists"
        )
    index = VideoIndex(videos_below(root))
    listing = split_ucf101_by_group(index.paths, ClassIndex(descriptor.classes), fold)
    if not listing.clips:
        raise ManifestError(
            f"{root}: none of its {len(index.paths)} videos is called as those of UCF101 are; "
            "expected names such as v_Archery_g01_c01.avi"
        )
    return _build(root, listing, index, descriptor, fold, journal_path, progress, num_workers)


def _build(
    root: Path,
    listing: Listing,
    index: VideoIndex,
    descriptor: DatasetDescriptor,
    fold: str,
    journal_path: Path | None,
    progress: Progress | None,
    num_workers: int,
) -> BuildResult:
    header = ManifestHeader(
        dataset=descriptor.dataset,
        version="1",
        classes=descriptor.classes,
        protocol=descriptor.protocol_of(fold),
        source=f"folder {root.resolve().name}",
        licence=descriptor.licence,
    )
    clips, other_case = locate(listing.clips, index)
    warnings = [BuildWarning(remark.place, remark.message) for remark in listing.remarks]
    if other_case:
        first, path = other_case[0]
        message = f"is listed as {first!r}: {len(other_case)} names differ in case from the lists"
        warnings.append(BuildWarning(path, message))
    unlisted = sorted(set(index.paths) - {clip.path for clip in clips})
    if unlisted:
        message = f"is in no list of this fold, nor are {len(unlisted) - 1} other videos"
        warnings.append(BuildWarning(unlisted[0], message))
    result = assemble(
        root, header, clips, journal_path=journal_path, progress=progress, num_workers=num_workers
    )
    annotations = None
    if listing.segments:
        annotations = Annotations.of_segments(
            AnnotationHeader(dataset=header.dataset, classes=header.classes), listing.segments
        )
    return replace(result, warnings=(*warnings, *result.warnings), annotations=annotations)


def locate(
    clips: Sequence[ListedClip], index: VideoIndex
) -> tuple[list[LocatedClip], list[tuple[str, str]]]:
    """Find the file of every listed clip.

    Args:
        clips: as the lists name them.
        index: the videos that there are.

    Returns:
        The clips with their files, or with a fault where there is none; and the names that differ
        from their file's in case: as listed, and as found.

    Raises:
        ManifestError: a clip is listed twice.
    """
    located: list[LocatedClip] = []
    other_case: list[tuple[str, str]] = []
    for clip in clips:
        candidates = index.candidates(clip.path)
        path = candidates[0] if len(candidates) == 1 else clip.path.lstrip("/")
        fault = None
        if not candidates:
            fault = "is listed, but there is no such file"
        elif len(candidates) > 1:
            fault = f"is listed, and {' and '.join(candidates[:2])} fit alike; remove one"
        elif not _ends_as(clip.path, path):
            other_case.append((clip.path, path))
        located.append(
            LocatedClip(
                clip.video_id or without_suffix(path),
                path,
                clip.class_name,
                clip.split,
                clip.group,
                clip.start_sec,
                clip.end_sec,
                clip.num_frames,
                fault,
            )
        )
    _refuse_twins(clips, located)
    return located, other_case


def _ends_as(listed: str, path: str) -> bool:
    """Whether the names of two files are the same up to suffix, case counting."""
    return without_suffix(listed).rpartition("/")[2] == without_suffix(path).rpartition("/")[2]


def _refuse_twins(clips: Sequence[ListedClip], located: Sequence[LocatedClip]) -> None:
    counts = Counter(clip.video_id for clip in located)
    for video_id, count in counts.items():
        if count > 1:
            listed = [
                f"{clip.path} (split {clip.split}, class {clip.class_name})"
                for clip, found in zip(clips, located, strict=True)
                if found.video_id == video_id
            ]
            raise ManifestError(
                f"clip {video_id!r} is listed {count} times, as {listed[0]} and as {listed[1]}; "
                "expected every clip once"
            )
