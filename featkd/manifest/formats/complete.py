"""Makes a whole manifest of a partial one: what it does not say, the files do."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from featkd.errors import ManifestError, VideoError
from featkd.manifest.build_result import BuildResult, BuildWarning, Rejected
from featkd.manifest.checksum import sha256_of
from featkd.manifest.formats.partial import PartialManifest, ids_of
from featkd.manifest.parallel import map_in_threads
from featkd.manifest.schema import COLUMN_NAMES
from featkd.manifest.structure import path_fault
from featkd.progress import Progress, Silent

Row = dict[str, Any]

_DEFAULTS: Mapping[str, float | None] = {"start_sec": 0.0, "end_sec": None, "group": None}
# A checksum may be absent from a manifest; these may not.
_NEEDED = ("num_frames", "fps", "width", "height")


def complete(
    given: PartialManifest, root: Path, progress: Progress | None = None, *, num_workers: int = 4
) -> BuildResult:
    """Make a whole manifest of a partial one.

    One that has frame counts, rates and sizes is taken as it is, and no file is read. Otherwise
    each file is decoded once and hashed, as `build_from_folders` does it: one that does not open
    is rejected with its reason, one that decodes in part is kept with a warning.

    Args:
        given: what another format says.
        root: folder of the videos.
        progress: shows the files as they are read.
        num_workers: threads that decode and hash.

    Raises:
        ManifestError: if what is given breaks a rule of manifests, or no file serves.
    """
    table = given.table
    if "video_id" not in table:
        table = table.assign(video_id=ids_of(table["path"].tolist()))
    table = table.assign(**{name: value for name, value in _DEFAULTS.items() if name not in table})
    if all(name in table and table[name].notna().all() for name in _NEEDED):
        if "sha256" not in table:
            table = table.assign(sha256=None)
        return _checked(
            BuildResult(given.header, root, _records(table[list(COLUMN_NAMES)]), (), ())
        )
    try:
        table = table.astype({"start_sec": np.float64, "end_sec": np.float64})
    except (ValueError, TypeError) as error:
        raise ManifestError(f"start_sec or end_sec: {error}; expected seconds") from error
    records = _records(table)
    outcomes = (progress or Silent()).track(
        map_in_threads(partial(_measure, root), records, num_workers=num_workers),
        description="Reading videos",
        total=len(records),
        unit="video",
    )
    rows: list[Row] = []
    rejected: list[Rejected] = []
    warnings: list[BuildWarning] = []
    for outcome in outcomes:
        warnings += outcome.warnings
        if outcome.rejected is None:
            rows.append(outcome.row)
        else:
            rejected.append(outcome.rejected)
    whole = _records(pd.DataFrame(rows)[list(COLUMN_NAMES)]) if rows else ()
    return _checked(BuildResult(given.header, root, whole, tuple(rejected), tuple(warnings)))


def _records(table: pd.DataFrame) -> tuple[Row, ...]:
    values = table.astype(object).where(table.notna(), None).to_numpy()
    return tuple(dict(zip(table.columns, row, strict=True)) for row in values.tolist())


def _checked(result: BuildResult) -> BuildResult:
    """The same result, once its manifest was made: whatever is wrong with it shows now."""
    _ = result.manifest
    return result


@dataclass(frozen=True, slots=True)
class _Outcome:
    row: Row
    rejected: Rejected | None = None
    warnings: tuple[BuildWarning, ...] = ()


def _measure(root: Path, row: Row) -> _Outcome:
    # Imported where it serves: reading a manifest needs neither decoder nor torch.
    from featkd.video.probe import probe

    name = str(row["path"])
    fault = path_fault(name)
    if fault is not None:
        return _Outcome(row, Rejected(name, f"its name {fault}; rename it", None))
    unread = {**row, "num_frames": 0, "fps": 0.0, "width": 0, "height": 0}
    unread.setdefault("sha256", None)
    try:
        sha256 = unread["sha256"] or sha256_of(root / name)
        info = probe(root / name, start_sec=row["start_sec"], end_sec=row["end_sec"])
    except VideoError as error:
        return _Outcome(unread, Rejected(name, str(error), unread))
    except OSError as error:
        reason = f"cannot be read: {error.strerror or error}"
        return _Outcome(unread, Rejected(name, reason, unread))
    row = {
        **row,
        "num_frames": info.num_frames,
        "fps": info.fps,
        "width": info.width,
        "height": info.height,
        "sha256": sha256,
    }
    warnings = () if info.complaint is None else (BuildWarning(name, info.complaint),)
    return _Outcome(row, None, warnings)
