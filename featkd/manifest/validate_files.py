"""Looks for what is wrong with the files that a manifest names."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from featkd.errors import VideoError
from featkd.manifest.checksum import sha256_of
from featkd.manifest.manifest import Manifest
from featkd.manifest.parallel import map_in_threads
from featkd.manifest.problem import Problem, problem_at
from featkd.progress import Progress, Silent


def check_files(manifest: Manifest, progress: Progress | None = None) -> list[Problem]:
    """Check that every path leads to a file that is not empty. No file is opened."""
    rows = _rows(manifest)
    tracked = (progress or Silent()).track(
        rows, description="Looking for files", total=len(rows), unit="file"
    )
    return [problem for row in tracked for problem in _presence(row)]


def check_contents(
    manifest: Manifest, progress: Progress | None = None, *, num_workers: int = 4
) -> list[Problem]:
    """Read every file again: checksum, frames that decode, size and frame rate.

    Includes `check_files`. A row of 0 frames is right as long as its video remains unreadable.

    Args:
        manifest: what to check.
        progress: shows the files as they are read.
        num_workers: threads that hash and decode.
    """
    rows = _rows(manifest)
    tracked = (progress or Silent()).track(
        map_in_threads(_contents, rows, num_workers=num_workers),
        description="Reading videos",
        total=len(rows),
        unit="video",
    )
    return [problem for problems in tracked for problem in problems]


@dataclass(frozen=True, slots=True)
class _Row:
    row: int
    video_id: str
    path: Path
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
        _Row(row, video_id, manifest.root / path, *others)
        for row, (video_id, path, *others) in enumerate(values)
    ]


def _presence(row: _Row) -> Iterator[Problem]:
    problem = partial(problem_at, row.row, row.video_id, severity="error", field="path")
    try:
        if not row.path.is_file():
            what = "a file; there is a folder" if row.path.is_dir() else "a file; there is none"
            yield problem(value=str(row.path), expected=what)
        elif row.num_frames > 0 and row.path.stat().st_size == 0:
            yield problem(value=str(row.path), expected="a video; the file is empty (0 bytes)")
    except OSError as error:
        yield problem(value=str(row.path), expected=f"a file; {error.strerror or error}")


def _contents(row: _Row) -> list[Problem]:
    problems = list(_presence(row))
    return problems or [*_checksum(row), *_video(row)]


def _checksum(row: _Row) -> Iterator[Problem]:
    problem = partial(problem_at, row.row, row.video_id, severity="error")
    if row.sha256 is None:
        return
    try:
        actual = sha256_of(row.path)
    except OSError as error:
        yield problem(
            field="path", value=str(row.path), expected=f"a file; {error.strerror or error}"
        )
        return
    if actual != row.sha256:
        yield problem(field="sha256", value=row.sha256, expected=f"{actual}, as the file has")


def _video(row: _Row) -> Iterator[Problem]:
    # Imported where it serves: reading a manifest needs neither decoder nor torch.
    from featkd.video.probe import probe

    problem = partial(problem_at, row.row, row.video_id, severity="error")
    try:
        info = probe(row.path, start_sec=row.start_sec, end_sec=row.end_sec)
    except (VideoError, OSError) as error:
        if row.num_frames > 0:
            yield problem(field="num_frames", value=row.num_frames, expected=f"0: {error}")
        return
    if info.num_frames != row.num_frames:
        reason = f": {info.complaint}" if info.complaint else ""
        yield problem(
            field="num_frames",
            value=row.num_frames,
            expected=f"{info.num_frames}, which decode{reason}",
        )
    elif (info.width, info.height) != (row.width, row.height):
        yield problem(
            field="width",
            value=f"{row.width}x{row.height}",
            expected=f"{info.width}x{info.height}, as the frames are displayed",
        )
    elif not math.isclose(info.fps, row.fps, rel_tol=1e-3):
        yield problem(field="fps", value=row.fps, expected=f"{info.fps:g}")
