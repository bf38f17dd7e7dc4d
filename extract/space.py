"""Whether what an extraction is going to write fits on the disk."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from featkd.cache import FolderStore, raw_row_bytes, take_inventory
from featkd.errors import StorageFullError
from featkd.experiment.arrays import TRAJECTORY_LAYER
from featkd.experiment.open_workspace import AnyWorkspace
from featkd.extract.job import LayerJob
from featkd.extract.trial import run_trial
from featkd.models import BaseTeacher

_TRIAL_ROWS = 16


def free_bytes(path: Path) -> int:
    """Bytes that can still be written where a path lies, whether or not it exists yet."""
    while not path.exists():
        path = path.parent
    return shutil.disk_usage(path).free


def require_space(
    workspace: AnyWorkspace,
    store: FolderStore,
    jobs: Sequence[LayerJob],
    teachers: Sequence[BaseTeacher],
) -> None:
    """Refuse to begin what cannot end.

    Where even the uncompressed arrays fit, nothing is measured. Else the size of a row comes from
    the parts that are written already, or from a trial on a few videos.

    Raises:
        StorageFullError: the disk has less room than is missing of the layers.
    """
    missing = {job.name: rows_missing(store, job) for job in jobs}
    free = free_bytes(workspace.cache_path)
    if sum(missing[job.name] * sum(map(raw_row_bytes, job.arrays)) for job in jobs) <= free:
        return
    needed = sum(
        missing[job.name] * _stored_row_bytes(workspace, store, job, teachers) for job in jobs
    )
    if needed > free:
        raise StorageFullError(
            f"{workspace.cache_path} needs about {needed / 2**20:.0f} MiB more, but only "
            f"{free / 2**20:.0f} MiB are free; make room, or keep less: fewer taps or views, or a "
            "smaller extract.dtype (featkd plan tells what each takes)"
        )


def rows_missing(store: FolderStore, job: LayerJob) -> int:
    """Rows of a layer that are not committed; all of them where there is no such layer yet."""
    done = store.committed_parts(job.name) if job.name in store.layers() else set()
    return sum(len(store.part_range(p)) for p in range(store.num_parts) if p not in done)


def _stored_row_bytes(
    workspace: AnyWorkspace, store: FolderStore, job: LayerJob, teachers: Sequence[BaseTeacher]
) -> float:
    written = [item for item in take_inventory(store) if item.layer == job.name]
    if written and written[0].num_rows:
        return sum(item.row_bytes for item in written)
    if job.name == TRAJECTORY_LAYER:  # is copied, so there is nothing to try
        return float(sum(map(raw_row_bytes, job.arrays)))
    trial = run_trial(workspace, job, teachers, num_rows=_TRIAL_ROWS)
    return sum(trial.array_bytes.values())
