"""Looks for what is wrong with the files that a manifest names."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from featkd.manifest.facts import (
    Facts,
    facts_by_row,
    read_facts,
    stretches_of,
    suffix_complaint,
)
from featkd.manifest.manifest import Manifest
from featkd.manifest.problem import Problem, problem_at
from featkd.manifest.video_index import videos_below
from featkd.progress import Progress, Silent


def check_files(manifest: Manifest, progress: Progress | None = None) -> list[Problem]:
    """Check that every path leads to a file that is not empty. No file is opened."""
    rows = _rows(manifest)
    tracked = (progress or Silent()).track(
        rows, description="Looking for files", total=len(rows), unit="file"
    )
    return [problem for row in tracked for problem in _presence(row)]


def check_extra_files(manifest: Manifest) -> list[Problem]:
    """Warn of videos below the root that the manifest does not name. No file is opened.

    Raises:
        ManifestError: the root is not a folder.
    """
    named = set(manifest.select(["path"])["path"])
    return [
        Problem(
            "warning",
            None,
            None,
            "path",
            path,
            "a row of the manifest",
            f"{path} lies below the root, but no row names it",
        )
        for path in videos_below(manifest.root)
        if path not in named
    ]


def check_contents(
    manifest: Manifest,
    progress: Progress | None = None,
    *,
    journal_path: Path | None = None,
    num_workers: int = 4,
) -> list[Problem]:
    """Read every file again: checksum, frames that decode, size and frame rate.

    Includes `check_files`. Of a row of 0 frames whose video remains unreadable, the reason is a
    warning; so is a suffix that does not tell the format.

    Args:
        manifest: what to check.
        progress: shows the files as they are read.
        journal_path: where finished videos are noted, see `featkd.manifest.facts.read_facts`.
        num_workers: threads that hash and decode.

    Raises:
        UsageError: ``num_workers`` is below 1.
    """
    rows = _rows(manifest)
    absent = {row.row: problems for row in rows if (problems := list(_presence(row)))}
    there = [row for row in rows if row.row not in absent]
    paths = [row.path for row in there]
    facts = read_facts(
        manifest.root,
        stretches_of(paths, [row.start_sec for row in there], [row.end_sec for row in there]),
        journal_path=journal_path,
        progress=progress,
        num_workers=num_workers,
    )
    found = list(facts_by_row(paths, facts))
    problems_of = absent | {
        row.row: [*_checksum(row, one), *_video(row, one)]
        for row, one in zip(there, found, strict=True)
    }
    problems = [problem for row in rows for problem in problems_of[row.row]]
    return [*problems, *_new_copies(there, found)]


@dataclass(frozen=True, slots=True)
class _Row:
    row: int
    video_id: str
    path: str
    file: Path
    start_sec: float
    end_sec: float | None
    num_frames: int
    fps: float
    width: int
    height: int
    sha256: str | None


def _rows(manifest: Manifest) -> list[_Row]:
    table = manifest.table
    optional = table[["end_sec", "sha256"]].astype(object)
    optional = optional.where(optional.notna(), None)
    columns = [table["video_id"], table["path"], table["start_sec"], optional["end_sec"]]
    columns += [table[name] for name in ("num_frames", "fps", "width", "height")]
    columns.append(optional["sha256"])
    values = zip(*(column.tolist() for column in columns), strict=True)
    return [
        _Row(row, video_id, path, manifest.root / path, *others)
        for row, (video_id, path, *others) in enumerate(values)
    ]


def _presence(row: _Row) -> Iterator[Problem]:
    problem = partial(
        problem_at,
        row.row,
        row.video_id,
        severity="error",
        field="path",
        value=str(row.file),
    )
    try:
        if not row.file.is_file():
            yield problem(
                expected="a file; there is a folder"
                if row.file.is_dir()
                else "a file; there is none"
            )
        elif row.num_frames > 0 and row.file.stat().st_size == 0:
            yield problem(expected="a video; the file is empty (0 bytes)")
    except OSError as error:
        yield problem(expected=f"a file; {error.strerror or error}")


def _checksum(row: _Row, facts: Facts) -> Iterator[Problem]:
    if row.sha256 is None or facts.sha256 is None or facts.sha256 == row.sha256:
        return
    yield problem_at(
        row.row,
        row.video_id,
        severity="error",
        field="sha256",
        value=row.sha256,
        expected=f"{facts.sha256}, as the file has",
    )


def _video(row: _Row, facts: Facts) -> Iterator[Problem]:
    problem = partial(problem_at, row.row, row.video_id, severity="error")
    if facts.fault is not None:
        yield problem_at(
            row.row,
            row.video_id,
            severity="error" if row.num_frames > 0 else "warning",
            field="num_frames",
            value=row.num_frames,
            expected=f"{'0' if row.num_frames > 0 else '1 or more'}: {facts.fault}",
        )
        return
    if facts.num_frames != row.num_frames:
        reason = f": {facts.complaint}" if facts.complaint else ""
        yield problem(
            field="num_frames",
            value=row.num_frames,
            expected=f"{facts.num_frames}, which decode{reason}",
        )
    elif (facts.width, facts.height) != (row.width, row.height):
        yield problem(
            field="width",
            value=f"{row.width}x{row.height}",
            expected=f"{facts.width}x{facts.height}, as the frames are displayed",
        )
    elif not math.isclose(facts.fps, row.fps, rel_tol=1e-3):
        yield problem(field="fps", value=row.fps, expected=f"{facts.fps:g}")
    if (complaint := suffix_complaint(row.path, facts)) is not None:
        yield problem_at(
            row.row,
            row.video_id,
            severity="warning",
            field="path",
            value=row.path,
            expected=f"a suffix that tells the format: {complaint}",
        )


def _new_copies(rows: Sequence[_Row], facts: Sequence[Facts]) -> Iterator[Problem]:
    """Files that have become copies of others; those that were at building are in the table."""
    first_row: dict[str, _Row] = {}
    for row, one in zip(rows, facts, strict=True):
        if one.sha256 is not None and one.sha256 == row.sha256:
            first_row.setdefault(one.sha256, row)
    for row, one in zip(rows, facts, strict=True):
        if one.sha256 is None or one.sha256 == row.sha256:
            continue
        first = first_row.setdefault(one.sha256, row)
        if first.path != row.path:
            yield problem_at(
                row.row,
                row.video_id,
                severity="error",
                field="path",
                value=row.path,
                expected=f"contents of its own; it is a copy of {first.path}",
            )
