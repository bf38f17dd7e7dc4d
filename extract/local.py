"""Extraction on one machine: what is missing of a recipe's cache is computed and written."""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import pandas as pd
import torch

from featkd.cache import (
    TRAJECTORY_ARRAY,
    CodecError,
    Fingerprint,
    FolderStore,
    compare,
    refuse_mismatches,
    take_inventory,
)
from featkd.errors import ModelError, UsageError
from featkd.experiment.arrays import TRAJECTORY_LAYER, is_extracted_layer, is_teacher_layer
from featkd.experiment.needs import joint_requirements, taps_to_extract
from featkd.experiment.open_teacher import AnyFrozenTeacher, open_teacher
from featkd.experiment.open_workspace import AnyWorkspace
from featkd.experiment.workspace import row_table, save_recipe
from featkd.extract.assemble import make_pipeline
from featkd.extract.job import held_taps, plan_jobs, require_formats, wanted_arrays
from featkd.extract.space import require_space
from featkd.extract.trajectory import (
    load_trajectory,
    replays_training,
    trajectory_job,
    write_trajectory,
)
from featkd.types import Progress, Silent


@dataclass(frozen=True, slots=True)
class ExtractSummary:
    """What an extraction did.

    Attributes:
        num_rows: rows of the cache.
        num_computed: rows this call computed or copied; a row counts for each layer.
        num_failed: rows without data, of all.
        failed_videos: reason by video.
        seconds: by stage of this call; ``wall`` is the whole of it.
        num_bytes: stored arrays, of all parts.
        num_bytes_raw: what they would take uncompressed.
        codec_errors: what lossy number formats did, by array, measured on rows of every part.
    """

    num_rows: int
    num_computed: int
    num_failed: int
    failed_videos: dict[str, str]
    seconds: dict[str, float]
    num_bytes: int
    num_bytes_raw: int
    codec_errors: dict[str, CodecError]

    def to_json(self) -> dict[str, object]:
        """As a dictionary of numbers, texts and dictionaries."""
        errors = {name: error.figures() for name, error in self.codec_errors.items()}
        return {**asdict(self), "codec_errors": errors}


def extract(workspace: AnyWorkspace, progress: Progress | None = None) -> ExtractSummary:
    """Fill the workspace's cache with whatever it lacks.

    A part that is committed is not computed again. Where the recipe asks for more taps than the
    cache has, these are written as a further layer; where it asks for more views, their rows are
    added to every layer. Where it replays the teacher's training, the logits of that are copied.

    Raises:
        CheckpointError: the teacher is missing or damaged.
        ModelError: a distiller needs its classifier, which does not read the mean of a map.
        RequirementError: its training left no logits, or had other settings than the recipe.
        FingerprintError: the cache holds another teacher's features, or a video changed.
        CacheLockedError: another process writes to it.
        StorageFullError: what is missing does not fit on the disk, or the disk became full;
            committed parts are safe.
    """
    started = time.perf_counter()
    recipe = workspace.recipe
    frozen = open_teacher(workspace)
    if frozen.module_name is None and joint_requirements(recipe).classifier:
        raise ModelError(
            f"the classifier of {frozen.card.model.name} does not read the mean of a map, and a "
            "distiller of the recipe reads maps with the teacher's classifier; expected others "
            "than fn, simkd, wkd_logit"
        )
    taps = taps_to_extract(recipe)
    fingerprint = frozen.fingerprint
    exists = (workspace.cache_path / "featkd.json").exists()
    if exists:
        # Without the right to write, so that a finished cache can be asked while others use it.
        with FolderStore.open(workspace.cache_path) as store:
            require_same_teacher(store, fingerprint)
            require_formats(store, recipe)
            taps = tuple(sorted({*taps, *held_taps(store)}))
            if _is_complete(store, workspace, frozen):
                return _summarise(store, 0, {}, started)
    trajectory = load_trajectory(workspace) if replays_training(workspace) else None
    teachers = [
        frozen.with_taps(taps, device=device) for device in devices_of(recipe.extract.devices)
    ]
    with _open(workspace, exists=exists) as store:
        if not _has_module(store, frozen):
            frozen.save_module(store)
        _add_views(store, workspace)
        jobs = plan_jobs(store, recipe, teachers[0])
        copied = [] if trajectory is None else [trajectory_job(workspace, store)]
        require_space(workspace, store, [*jobs, *copied], teachers[:1])
        save_recipe(workspace.cache_path, recipe)
        num_computed = 0
        seconds: dict[str, float] = {}
        for job in jobs:
            store.add_layer(job.name, job.arrays, fingerprint)
            pipeline = make_pipeline(workspace, store, job, teachers)
            num_computed += pipeline.run(progress or Silent())
            seconds = {name: seconds.get(name, 0.0) + s for name, s in pipeline.seconds.items()}
        if trajectory is not None:
            num_computed += write_trajectory(
                workspace, store, trajectory, fingerprint, progress or Silent()
            )
        return _summarise(store, num_computed, seconds, started)


def devices_of(names: Sequence[str]) -> list[torch.device | None]:
    """Devices of the teachers; None is the recipe's own.

    Raises:
        UsageError: this machine lacks one of them.
    """
    try:
        return [torch.empty(0, device=name).device for name in names] or [None]
    except (RuntimeError, AssertionError) as error:
        raise UsageError(
            f"extract.devices is {list(names)}, of which this machine lacks one; expected cpu or "
            "CUDA devices such as cuda:0"
        ) from error


def require_same_teacher(store: FolderStore, fingerprint: Fingerprint) -> None:
    """Check that a cache's teacher layers were made from something.

    Raises:
        FingerprintError: they were made from something else; names the fields.
    """
    for name, layer in store.layers().items():
        if is_teacher_layer(name):
            refuse_mismatches(compare(layer.fingerprint, fingerprint), cache=store.location)


def _has_module(store: FolderStore, frozen: AnyFrozenTeacher) -> bool:
    """Whether the teacher's own module lies beside a cache, or there is none to put there."""
    return frozen.module_name is None or frozen.module_name in store.module_names()


def _is_complete(store: FolderStore, workspace: AnyWorkspace, frozen: AnyFrozenTeacher) -> bool:
    recipe = workspace.recipe
    wanted = {*wanted_arrays(recipe, taps_to_extract(recipe))}
    layers = {n: layer for n, layer in store.layers().items() if is_teacher_layer(n)}
    if joint_requirements(recipe).trajectory:
        wanted.add(TRAJECTORY_ARRAY)
        layers |= {n: layer for n, layer in store.layers().items() if n == TRAJECTORY_LAYER}
    held = {array.name for layer in layers.values() for array in layer.arrays}
    num_views = int(store.row_columns(["view_index"])["view_index"].max()) + 1
    return (
        _has_module(store, frozen)
        and held >= wanted
        and num_views >= recipe.views.train.num_views
        and all(len(store.committed_parts(name)) == store.num_parts for name in layers)
    )


def _open(workspace: AnyWorkspace, *, exists: bool) -> FolderStore:
    if exists:
        return FolderStore.open_for_writing(workspace.cache_path)
    recipe = workspace.recipe
    return FolderStore.create(
        workspace.cache_path,
        _rows(workspace, range(recipe.views.train.num_views)),
        part_rows=recipe.extract.part_rows,
        backend=recipe.extract.backend,
    )


def _add_views(store: FolderStore, workspace: AnyWorkspace) -> None:
    """Add rows for the views that a recipe asks for and its cache has not."""
    num_views = int(store.row_columns(["view_index"])["view_index"].max()) + 1
    wanted = workspace.recipe.views.train.num_views
    if wanted > num_views:
        store.add_rows(_rows(workspace, range(num_views, wanted)))


def _rows(workspace: AnyWorkspace, views: range) -> pd.DataFrame:
    recipe = workspace.recipe
    clips = workspace.train_clips()
    return row_table(clips, recipe.data.train_split, recipe.views.train, recipe.seed, views)


def _summarise(
    store: FolderStore, num_computed: int, seconds: dict[str, float], started: float
) -> ExtractSummary:
    layers = [name for name in store.layers() if is_extracted_layer(name)]
    failures: dict[int, str] = {}
    for name in layers:
        failures = store.failures(name) | failures
    table = store.row_columns(["row", "video_id"]).set_index("row")["video_id"]
    inventory = [item for item in take_inventory(store) if is_extracted_layer(item.layer)]
    return ExtractSummary(
        num_rows=store.num_rows,
        num_computed=num_computed,
        num_failed=len(failures),
        failed_videos={str(table[row]): reason for row, reason in failures.items()},
        seconds={**seconds, "wall": time.perf_counter() - started},
        num_bytes=sum(item.num_bytes for item in inventory),
        num_bytes_raw=store.num_rows * sum(item.raw_row_bytes for item in inventory),
        codec_errors={
            item.spec.name: item.codec_error for item in inventory if item.codec_error is not None
        },
    )
