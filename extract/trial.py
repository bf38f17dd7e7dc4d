"""A measured trial: a few real views go through the whole pipeline into a passing cache."""

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from featkd.cache import CodecError, FolderStore, merge_codec_errors, stored_arrays
from featkd.experiment.workspace import Workspace, row_table
from featkd.extract.assemble import make_pipeline
from featkd.extract.job import LayerJob
from featkd.models import Teacher
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
        wall_sec: of the whole trial.
        array_bytes: stored bytes of a row, by array.
        codec_errors: what lossy number formats did, by array.
    """

    num_rows: int
    num_failed: int
    decode_sec: float
    teacher_sec: float
    write_sec: float
    wall_sec: float
    array_bytes: dict[str, float]
    codec_errors: dict[str, CodecError]


def run_trial(
    workspace: Workspace, job: LayerJob, teachers: Sequence[Teacher], *, num_rows: int
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
    workspace.folder.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix="trial-", dir=workspace.folder) as folder,
        FolderStore.create(
            workspace.folder / folder / "cache",
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
        commits = [store.commit(job.name, part) for part in range(store.num_parts)]
        num_ok = max(1, len(rows) - sum(len(commit.failures) for commit in commits))
        array_bytes = {}
        for spec in job.arrays:
            files = [
                store.files.part_file(array, part).relative_to(store.path).as_posix()
                for array in stored_arrays(spec)
                for part in range(store.num_parts)
            ]
            sizes = {file: digest for commit in commits for file, digest in commit.files.items()}
            array_bytes[spec.name] = sum(sizes[file].num_bytes for file in files) / num_ok
        return Trial(
            num_rows=len(rows),
            num_failed=len(rows) - num_ok,
            decode_sec=pipeline.seconds["decode"] / num_ok,
            teacher_sec=pipeline.seconds["teacher"] / num_ok,
            write_sec=pipeline.seconds["write"] / num_ok,
            wall_sec=wall_sec,
            array_bytes=array_bytes,
            codec_errors={
                spec.name: merge_codec_errors(
                    [c.codec_errors[spec.name] for c in commits if spec.name in c.codec_errors]
                )
                for spec in job.arrays
                if any(spec.name in commit.codec_errors for commit in commits)
            },
        )
