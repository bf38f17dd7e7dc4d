"""A measured trial: a few real views go through the whole pipeline into a passing cache."""

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from featkd.cache import ArraySpec, CodecError, FolderStore, take_inventory
from featkd.experiment.arrays import FRAMES_CRC_ARRAY
from featkd.experiment.open_workspace import AnyWorkspace
from featkd.experiment.workspace import row_table
from featkd.extract.assemble import make_pipeline
from featkd.extract.job import LayerJob
from featkd.models import BaseTeacher
from featkd.types import Silent


@dataclass(frozen=True, slots=True)
class Trial:
    """What a few rows cost.

    Attributes:
        num_rows: rows that were computed.
        num_failed: of these, rows whose video could not serve.
        decode_sec: processor time of decoding and rendering, a row.
        teacher_sec: time of the teacher's device, a row.
        write_sec: time of encoding, compressing and writing, a row.
        read_sec: time of reading all arrays back, a row.
        wall_sec: of the whole trial, without reading back.
        array_bytes: stored bytes of a row, by array.
        codec_errors: what lossy number formats did, by array.
    """

    num_rows: int
    num_failed: int
    decode_sec: float
    teacher_sec: float
    write_sec: float
    read_sec: float
    wall_sec: float
    array_bytes: dict[str, float]
    codec_errors: dict[str, CodecError]


def run_trial(
    workspace: AnyWorkspace, job: LayerJob, teachers: Sequence[BaseTeacher], *, num_rows: int
) -> Trial:
    """Extract one view each of clips spread over the whole split.

    The trial's cache lies beside the real one, so that the same disk is measured, and is deleted
    afterwards.

    Args:
        workspace: the recipe.
        job: arrays to write.
        teachers: as for the extraction itself.
        num_rows: views to try, at most one a clip.

    Raises:
        FeatkdError: whatever an extraction meets.
    """
    recipe = workspace.recipe
    clips = workspace.train_clips()
    chosen = np.unique(np.linspace(0, len(clips) - 1, min(num_rows, len(clips))).astype(int))
    rows = row_table(
        [clips[int(position)] for position in chosen],
        recipe.data.train_split,
        recipe.views.train,
        recipe.seed,
        range(1),
    )
    if not job.is_first:
        # Later layers are checked by the CRC of the first one, which this cache has not.
        crc = ArraySpec(name=FRAMES_CRC_ARRAY, shape=(), dtype="uint32")
        job = LayerJob(job.name, (*job.arrays, crc))
    workspace.folder.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix="trial-", dir=workspace.folder) as folder,
        FolderStore.create(
            Path(folder) / "cache",
            rows,
            part_rows=min(recipe.extract.part_rows, len(rows)),
            backend=recipe.extract.backend,
        ) as store,
    ):
        store.add_layer(job.name, job.arrays, {})
        pipeline = make_pipeline(workspace, store, job, teachers)
        started = time.perf_counter()
        pipeline.run(Silent())
        wall_sec = time.perf_counter() - started
        num_failed = len(store.failures(job.name))
        num_ok = max(1, len(rows) - num_failed)
        inventory = take_inventory(store)
        return Trial(
            num_rows=len(rows),
            num_failed=num_failed,
            decode_sec=pipeline.seconds["decode"] / num_ok,
            teacher_sec=pipeline.seconds["teacher"] / num_ok,
            write_sec=pipeline.seconds["write"] / num_ok,
            read_sec=_seconds_to_read(store, job) / num_ok,
            wall_sec=wall_sec,
            array_bytes={item.spec.name: item.num_bytes / num_ok for item in inventory},
            codec_errors={
                item.spec.name: item.codec_error
                for item in inventory
                if item.codec_error is not None
            },
        )


def _seconds_to_read(store: FolderStore, job: LayerJob) -> float:
    """Read every row that has data, as training does where a cache is too large for memory."""
    failed = store.failures(job.name)
    rows = [row for row in store.layout.row_numbers().tolist() if row not in failed]
    with FolderStore.open(store.path, resident_array_bytes=0) as reader:
        started = time.perf_counter()
        for spec in job.arrays:
            reader.read_rows(spec.name, rows)
        return time.perf_counter() - started
