"""The trajectory: what a teacher said of every view while it learned, copied into the cache."""

import math
import time
from dataclasses import dataclass
from typing import TypeGuard

import numpy as np

from featkd.cache import TRAJECTORY_ARRAY, ArraySpec, CacheStore, Fingerprint
from featkd.cache.file_digest import digest_file
from featkd.errors import RequirementError
from featkd.experiment.arrays import TRAJECTORY_LAYER
from featkd.experiment.fingerprint import trajectory_fingerprint
from featkd.experiment.needs import joint_requirements
from featkd.experiment.open_workspace import AnyWorkspace
from featkd.experiment.row_index import ABSENT, RowIndex
from featkd.experiment.teacher import teacher_run
from featkd.experiment.workspace import Workspace, read_json
from featkd.extract.job import LayerJob
from featkd.recipes.extract_section import LOGITS_KEY
from featkd.training import TRAJECTORY_FILE
from featkd.types import Progress


@dataclass(frozen=True, slots=True)
class Trajectory:
    """Logits of every step of the teacher's training.

    Attributes:
        logits: (num_visits, num_views, num_clips, K), float16, by position of the clip in its
            split; NaN where the teacher did not learn from a view.
        sha256: of the file that training left.
    """

    logits: np.ndarray
    sha256: str


def replays_training(workspace: AnyWorkspace) -> TypeGuard[Workspace]:
    """Whether a distiller of the recipe learns from the logits of the teacher's own training."""
    return isinstance(workspace, Workspace) and joint_requirements(workspace.recipe).trajectory


def load_trajectory(workspace: Workspace) -> Trajectory:
    """Open what the training of the recipe's teacher left.

    Where epochs do not show every view equally often, those that were shown once less end with
    the logits of their last visit once more.

    Raises:
        RequirementError: it left nothing, had other settings than the recipe, or the file is
            damaged.
    """
    run = teacher_run(workspace)
    path = run.folder / TRAJECTORY_FILE
    if not path.is_file():
        raise RequirementError(
            f"{path} is missing, and a distiller of the recipe replays the logits of the teacher's "
            "training; train the teacher in an empty folder with "
            "teacher.training.record_logits=true: featkd train"
        )
    if read_json(run.folder / "summary.json").get("settings") != run.settings(workspace):
        raise RequirementError(
            f"{path} is of a teacher that was trained with other settings than the recipe has; "
            "expected the same manifest, views and settings, so that its logits are those of these "
            "views: compare recipe.yaml beside it with yours, or train the teacher again"
        )
    expected = _shape(workspace)
    try:
        logits = np.lib.format.open_memmap(path, mode="c")  # changes stay in memory
    except (OSError, ValueError) as error:
        raise RequirementError(f"{path} is damaged: {error}; train the teacher again") from error
    if logits.shape != expected or logits.dtype != np.float16:
        raise RequirementError(
            f"{path} is {logits.dtype} {logits.shape}; expected float16 {expected}"
        )
    num_ahead = run.training.num_epochs % workspace.recipe.views.train.num_views
    if num_ahead and len(logits) > 1:
        logits[-1, num_ahead:] = logits[-2, num_ahead:]
    return Trajectory(logits, digest_file(path).sha256)


def trajectory_job(workspace: AnyWorkspace, store: CacheStore | None) -> LayerJob:
    """The layer that holds the trajectory.

    Args:
        workspace: the recipe.
        store: the cache, where there is one; a layer that it has keeps its compression.
    """
    known = store.layers().get(TRAJECTORY_LAYER) if store is not None else None
    _, compression = workspace.recipe.extract.codec(LOGITS_KEY)
    num_visits, _, _, num_classes = _shape(workspace)
    spec = ArraySpec(
        name=TRAJECTORY_ARRAY,
        shape=(num_visits, num_classes),
        dtype="float16",
        compression=known.arrays[0].compression if known is not None else compression,
    )
    return LayerJob(TRAJECTORY_LAYER, (spec,))


def write_trajectory(
    workspace: AnyWorkspace,
    store: CacheStore,
    trajectory: Trajectory,
    teacher: Fingerprint,
    progress: Progress,
) -> int:
    """Copy the trajectory into every part of its layer that is missing; returns rows copied.

    Args:
        workspace: the recipe.
        store: open for writing.
        trajectory: what to copy.
        teacher: fingerprint of the teacher's layers.
        progress: shows the work.

    Raises:
        FingerprintError: the cache holds another trajectory.
        StorageFullError: the disk is full; committed parts are safe.
    """
    job = trajectory_job(workspace, store)
    fingerprint = trajectory_fingerprint(workspace, teacher, trajectory.sha256)
    store.add_layer(job.name, job.arrays, fingerprint)
    index = RowIndex(store, workspace.train_clips().video_ids())
    done = store.committed_parts(job.name)
    missing = [part for part in range(store.num_parts) if part not in done]
    for part in progress.track(
        missing, description="trajectory", total=store.num_parts, unit="part", done=len(done)
    ):
        started = time.perf_counter()
        rows = store.part_range(part)
        clips, views = np.array([index.view_of(row) for row in rows]).T
        failures = {
            row: "the manifest has no such video any more"
            for row, clip in zip(rows, clips, strict=True)
            if clip == ABSENT
        }
        values = np.ascontiguousarray(trajectory.logits[:, views, clips].swapaxes(0, 1))
        seconds = {"trajectory": time.perf_counter() - started}
        # As it is stored: a row of which some visits are NaN has data.
        store.write_stored_part(job.name, part, {TRAJECTORY_ARRAY: values}, failures, seconds, {})
    return sum(len(store.part_range(part)) for part in missing)


def _shape(workspace: AnyWorkspace) -> tuple[int, int, int, int]:
    """Of the file: visits, views, clips, classes."""
    num_views = workspace.recipe.views.train.num_views
    return (
        math.ceil(workspace.recipe.teacher.training.num_epochs / num_views),
        num_views,
        len(workspace.train_clips()),
        len(workspace.manifest.header.classes),
    )
