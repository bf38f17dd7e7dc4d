"""Turns listed clips into the rows of a manifest: the one way in which all manifests are built."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from featkd.manifest.build_result import BuildResult, BuildWarning, Rejected, Row
from featkd.manifest.facts import (
    Facts,
    facts_by_row,
    read_facts,
    stretches_of,
    suffix_complaint,
)
from featkd.manifest.schema import ManifestHeader
from featkd.manifest.structure import path_fault
from featkd.progress import Progress


@dataclass(frozen=True, slots=True)
class LocatedClip:
    """A clip whose file is known.

    Attributes:
        video_id: name of the row, unique.
        path: file, relative to the root.
        class_name: one of the header's classes.
        split: its split.
        group: what must not straddle splits, or None.
        start_sec: where the clip starts in its file, in seconds.
        end_sec: where it ends, exclusive; None: end of file.
        num_frames: frames it is said to have, or None.
        fault: why there is no file to read, or None.
    """

    video_id: str
    path: str
    class_name: str
    split: str
    group: str | None
    start_sec: float = 0.0
    end_sec: float | None = None
    num_frames: int | None = None
    fault: str | None = None


def assemble(
    root: Path,
    header: ManifestHeader,
    clips: Sequence[LocatedClip],
    *,
    journal_path: Path | None = None,
    progress: Progress | None = None,
    num_workers: int = 4,
) -> BuildResult:
    """Read the file of every clip and make the rows.

    Each file is hashed once and each clip decoded once, to count the frames that really decode.

    Args:
        root: folder that the paths start from.
        header: the manifest's header.
        clips: the clips.
        journal_path: where finished videos are noted, see `featkd.manifest.facts.read_facts`.
        progress: shows the files as they are read.
        num_workers: threads that decode and hash.

    Raises:
        ManifestError: the journal cannot be written.
        UsageError: ``num_workers`` is below 1.
    """
    rejected: list[Rejected] = []
    readable: list[LocatedClip] = []
    label_of = {name: label for label, name in enumerate(header.classes)}
    for clip in sorted(clips, key=lambda clip: (clip.path, clip.start_sec, clip.video_id)):
        fault = path_fault(clip.path)
        if fault is not None:
            shown = clip.path.encode("ascii", "backslashreplace").decode()
            rejected.append(Rejected(shown, f"its name {fault}; rename it", None))
        elif clip.fault is not None:
            row = _row(clip, label_of[clip.class_name], Facts())
            rejected.append(Rejected(clip.path, clip.fault, row))
        else:
            readable.append(clip)
    paths = [clip.path for clip in readable]
    facts = read_facts(
        root,
        stretches_of(
            paths, [clip.start_sec for clip in readable], [clip.end_sec for clip in readable]
        ),
        journal_path=journal_path,
        progress=progress,
        num_workers=num_workers,
    )
    rows: list[Row] = []
    warnings: list[BuildWarning] = []
    for clip, found in zip(readable, facts_by_row(paths, facts), strict=True):
        row = _row(clip, label_of[clip.class_name], found)
        if found.fault is not None:
            rejected.append(Rejected(clip.path, found.fault, row))
            continue
        rows.append(row)
        warnings += [BuildWarning(clip.path, message) for message in _doubts(clip, found)]
    rejected.sort(key=lambda one: one.path)
    return BuildResult(header, root, tuple(rows), tuple(rejected), tuple(warnings))


def _row(clip: LocatedClip, label: int, facts: Facts) -> Row:
    return {
        "video_id": clip.video_id,
        "path": clip.path,
        "label": label,
        "class_name": clip.class_name,
        "split": clip.split,
        "start_sec": clip.start_sec,
        "end_sec": clip.end_sec,
        "num_frames": facts.num_frames,
        "fps": facts.fps,
        "width": facts.width,
        "height": facts.height,
        "group": clip.group,
        "sha256": facts.sha256,
    }


def _doubts(clip: LocatedClip, facts: Facts) -> list[str]:
    doubts = [facts.complaint, suffix_complaint(clip.path, facts)]
    if clip.num_frames is not None and clip.num_frames != facts.num_frames:
        doubts.append(f"has {facts.num_frames} frames; its list says {clip.num_frames}")
    return [doubt for doubt in doubts if doubt is not None]
