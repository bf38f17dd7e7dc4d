"""Makes a whole manifest of a partial one: what it does not say, the files do."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from featkd.errors import ManifestError
from featkd.manifest.build_result import BuildResult, BuildWarning, Rejected
from featkd.manifest.facts import (
    Facts,
    facts_by_row,
    read_facts,
    stretches_of,
    suffix_complaint,
)
from featkd.manifest.formats.partial import PartialManifest, ids_of
from featkd.manifest.schema import COLUMN_NAMES
from featkd.manifest.structure import path_fault
from featkd.progress import Progress

Row = dict[str, Any]

_DEFAULTS: Mapping[str, float | None] = {"start_sec": 0.0, "end_sec": None, "group": None}
# A checksum may be absent from a manifest; these may not.
_NEEDED = ("num_frames", "fps", "width", "height")


def complete(
    given: PartialManifest,
    root: Path,
    *,
    journal_path: Path | None = None,
    progress: Progress | None = None,
    num_workers: int = 4,
) -> BuildResult:
    """Make a whole manifest of a partial one.

    One that has frame counts, rates and sizes is taken as it is, and no file is read. Otherwise
    each file is decoded once and hashed, as `build_from_folders` does it: one that does not open
    is rejected with its reason, one that decodes in part is kept with a warning. Rows stay in
    their order.

    Args:
        given: what another format says.
        root: folder of the videos.
        journal_path: where finished videos are noted, see `featkd.manifest.facts.read_facts`.
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
        whole = _records(table[list(COLUMN_NAMES)])
        return _checked(BuildResult(given.header, root, whole, (), ()))
    try:
        table = table.astype({"start_sec": np.float64, "end_sec": np.float64})
    except (ValueError, TypeError) as error:
        raise ManifestError(f"start_sec or end_sec: {error}; expected seconds") from error
    rejected: list[Rejected] = []
    readable: list[Row] = []
    for row in _records(table):
        fault = path_fault(str(row["path"]))
        if fault is None:
            readable.append(row)
        else:
            rejected.append(Rejected(str(row["path"]), f"its name {fault}; rename it", None))
    paths = [row["path"] for row in readable]
    facts = read_facts(
        root,
        stretches_of(
            paths, [row["start_sec"] for row in readable], [row["end_sec"] for row in readable]
        ),
        journal_path=journal_path,
        progress=progress,
        num_workers=num_workers,
    )
    rows: list[Row] = []
    warnings: list[BuildWarning] = []
    for row, found in zip(readable, facts_by_row(paths, facts), strict=True):
        measured = row | {name: getattr(found, name) for name in (*_NEEDED, "sha256")}
        if found.fault is not None:
            rejected.append(Rejected(row["path"], found.fault, measured))
            continue
        rows.append(measured)
        warnings += [BuildWarning(row["path"], doubt) for doubt in _doubts(row, found)]
    rejected.sort(key=lambda one: one.path)
    ordered = tuple({name: row[name] for name in COLUMN_NAMES} for row in rows)
    return _checked(BuildResult(given.header, root, ordered, tuple(rejected), tuple(warnings)))


def _records(table: pd.DataFrame) -> tuple[Row, ...]:
    values = table.astype(object).where(table.notna(), None).to_numpy()
    return tuple(dict(zip(table.columns, row, strict=True)) for row in values.tolist())


def _checked(result: BuildResult) -> BuildResult:
    """The same result, once its manifest was made: whatever is wrong with it shows now."""
    _ = result.manifest
    return result


def _doubts(row: Row, found: Facts) -> list[str]:
    doubts = [found.complaint, suffix_complaint(row["path"], found)]
    if row.get("sha256") not in (None, found.sha256):
        doubts.append(f"has SHA-256 {found.sha256}; its metadata say {row['sha256']}")
    return [doubt for doubt in doubts if doubt is not None]
