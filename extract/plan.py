"""What an extraction will cost: bytes, hours and what limits them, from a measured trial."""

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass

import torch

from featkd.cache import ArraySpec, CodecError, FolderStore, raw_row_bytes
from featkd.errors import UsageError
from featkd.experiment.arrays import TEACHER_LAYER, is_teacher_layer
from featkd.experiment.needs import joint_requirements, taps_to_extract
from featkd.experiment.open_teacher import open_teacher
from featkd.experiment.open_workspace import AnyWorkspace
from featkd.extract.job import (
    LayerJob,
    describe_arrays,
    held_taps,
    plan_jobs,
    require_formats,
)
from featkd.extract.local import devices_of, require_same_teacher
from featkd.extract.space import free_bytes, rows_missing
from featkd.extract.trajectory import trajectory_job
from featkd.extract.trial import Trial, run_trial
from featkd.models import BaseTeacher

PROCESSOR = "processor"
"""Bottleneck where the teacher and the decoders share the processor's cores."""


@dataclass(frozen=True, slots=True)
class PlannedArray:
    """One array that the cache will have.

    Attributes:
        spec: the array.
        num_rows_missing: rows that are still to be written.
        raw_row_bytes: bytes of a row before compression.
        row_bytes: stored bytes of a row, as measured; of what is copied, before compression.
        codec_error: what its number format does to values; None for integers and what is copied.
    """

    spec: ArraySpec
    num_rows_missing: int
    raw_row_bytes: int
    row_bytes: float
    codec_error: CodecError | None


@dataclass(frozen=True, slots=True)
class Plan:
    """What an extraction will leave and take.

    Attributes:
        arrays: that the cache will have.
        num_rows: rows that it will have.
        num_rows_missing: rows that are still to be computed; a row counts for each layer.
        seconds: by stage, for what is missing: how long each would take if nothing else were to be
            waited for. `PROCESSOR` is there where the stages share the processor.
        total_sec: for what is missing; the stages overlap.
        whole_sec: the same for a cache of which nothing is there yet.
        free_bytes: room on the disk now.
        student_rows: views that one student sees in its training.
        teacher_sec: time of the teacher for a row.
        read_sec: time of reading a row from the cache.
        trial: what all of it comes from.
    """

    arrays: tuple[PlannedArray, ...]
    num_rows: int
    num_rows_missing: int
    seconds: dict[str, float]
    total_sec: float
    whole_sec: float
    free_bytes: int
    student_rows: int
    teacher_sec: float
    read_sec: float
    trial: Trial

    @property
    def missing_bytes(self) -> float:
        """Bytes that are still to be written."""
        return sum((array.num_rows_missing * array.row_bytes for array in self.arrays), 0.0)

    @property
    def total_bytes(self) -> float:
        """Bytes of the whole cache."""
        return self.num_rows * sum((array.row_bytes for array in self.arrays), 0.0)

    @property
    def bottleneck(self) -> str:
        """The stage that the others wait for."""
        return max(self.seconds, key=lambda stage: self.seconds[stage])

    @property
    def saved_sec(self) -> float:
        """What one student takes longer with the teacher in the loop; negative if less long."""
        return self.student_rows * (self.teacher_sec - self.read_sec)

    @property
    def break_even_students(self) -> float:
        """After how many students the cache has cost less than the teacher in the loop."""
        return self.whole_sec / self.saved_sec if self.saved_sec > 0 else math.inf


def plan(workspace: AnyWorkspace, *, num_rows: int = 16) -> Plan:
    """Measure what the recipe's extraction will cost, on a few videos of its training split.

    Nothing is left behind: the trial's cache is deleted.

    Args:
        workspace: the recipe.
        num_rows: views to try, at most one a clip.

    Raises:
        CheckpointError: the teacher is missing or damaged.
        FingerprintError: the cache holds another teacher's features.
        UsageError: none of the videos that were tried could serve.
        FeatkdError: whatever else an extraction meets.
    """
    recipe = workspace.recipe
    frozen = open_teacher(workspace)
    devices = devices_of(recipe.extract.devices)
    taps = {*taps_to_extract(recipe)}
    fresh_rows = len(workspace.train_clips()) * recipe.views.train.num_views
    if (workspace.cache_path / "featkd.json").exists():
        with FolderStore.open(workspace.cache_path) as store:
            require_same_teacher(store, frozen.fingerprint)
            require_formats(store, recipe)
            teacher = frozen.with_taps(sorted(taps | {*held_taps(store)}), device=devices[0])
            work, total_rows = _work_left(workspace, store, teacher)
            copied = trajectory_job(workspace, store)
            copied_rows = rows_missing(store, copied)
        whole = LayerJob(TEACHER_LAYER, tuple(describe_arrays(recipe, teacher)))
    else:
        teacher = frozen.with_taps(sorted(taps), device=devices[0])
        whole = LayerJob(TEACHER_LAYER, tuple(describe_arrays(recipe, teacher)))
        work, total_rows = [(whole, fresh_rows)], fresh_rows
        copied, copied_rows = trajectory_job(workspace, None), fresh_rows
    trial = run_trial(workspace, whole, [teacher], num_rows=num_rows)
    if trial.num_failed == trial.num_rows:
        raise UsageError(
            f"none of the {trial.num_rows} videos that were tried could serve; expected readable "
            f"ones: featkd manifest validate {recipe.data.manifest} --contents says what is wrong"
        )
    missing = {name: rows for job, rows in work for name in job.array_names}
    pace = _Pace(workspace, trial, whole, teacher.device, len(devices))
    by_layer = [pace.seconds(job, rows) for job, rows in work]
    arrays = [
        PlannedArray(
            spec,
            missing[spec.name],
            raw_row_bytes(spec),
            trial.array_bytes[spec.name],
            trial.codec_errors.get(spec.name),
        )
        for spec in whole.arrays
    ]
    if joint_requirements(recipe).trajectory:  # is copied: it takes room, and next to no time
        (spec,) = copied.arrays
        num_bytes = raw_row_bytes(spec)
        arrays.append(PlannedArray(spec, copied_rows, num_bytes, float(num_bytes), None))
    return Plan(
        arrays=tuple(arrays),
        num_rows=total_rows,
        num_rows_missing=sum(rows for _, rows in work),
        seconds={stage: sum(layer[stage] for layer in by_layer) for stage in by_layer[0]},
        total_sec=sum(max(layer.values()) for layer in by_layer),
        whole_sec=max(pace.seconds(whole, total_rows).values()),
        free_bytes=free_bytes(workspace.cache_path),
        student_rows=recipe.student.training.num_epochs * len(workspace.train_clips()),
        teacher_sec=pace.teacher_sec,
        read_sec=trial.read_sec,
        trial=trial,
    )


def _work_left(
    workspace: AnyWorkspace, store: FolderStore, teacher: BaseTeacher
) -> tuple[list[tuple[LayerJob, int]], int]:
    """Every layer with the rows it lacks, and how many rows the cache will have."""
    recipe = workspace.recipe
    num_views = int(store.row_columns(["view_index"])["view_index"].max()) + 1
    further = max(0, recipe.views.train.num_views - num_views)
    added_rows = further * len(workspace.train_clips())
    layers = {
        name: LayerJob(name, layer.arrays)
        for name, layer in store.layers().items()
        if is_teacher_layer(name)
    }
    layers |= {job.name: job for job in plan_jobs(store, recipe, teacher)}
    work = [(job, rows_missing(store, job) + added_rows) for job in layers.values()]
    return work, store.num_rows + added_rows


class _Pace:
    """From the seconds of a trial to those of an extraction."""

    def __init__(
        self,
        workspace: AnyWorkspace,
        trial: Trial,
        tried: LayerJob,
        device: torch.device,
        num_devices: int,
    ) -> None:
        section = workspace.recipe.extract
        num_cores = os.cpu_count() or 1
        self._trial = trial
        self._num_devices = num_devices
        self._num_decoders = min(workspace.recipe.loading.num_workers, num_cores)
        self._tried_bytes = sum(map(raw_row_bytes, tried.arrays))
        # Incomplete batches are filled up, so a short trial overstates the teacher's time.
        num_rows = trial.num_rows - trial.num_failed
        batch_sec = trial.teacher_sec * num_rows / math.ceil(num_rows / section.batch_size)
        num_batches = math.ceil(section.part_rows / section.batch_size)
        self.teacher_sec = batch_sec * num_batches / section.part_rows
        self._shared_by = num_cores if device.type == "cpu" else None

    def seconds(self, job: LayerJob, num_rows: int) -> Mapping[str, float]:
        """How long each stage takes for so many rows of a layer, wall time."""
        share = sum(map(raw_row_bytes, job.arrays)) / self._tried_bytes
        decode = self._trial.decode_sec
        teacher = self.teacher_sec if job.needs_teacher else 0.0
        write = self._trial.write_sec * share
        seconds = {
            "decode": decode / self._num_decoders,
            "teacher": teacher / self._num_devices,
            "write": write,
        }
        if self._shared_by is not None:
            threads = min(torch.get_num_threads(), self._shared_by)
            seconds[PROCESSOR] = (decode + teacher * threads + write) / self._shared_by
        return {stage: num_rows * row_sec for stage, row_sec in seconds.items()}
