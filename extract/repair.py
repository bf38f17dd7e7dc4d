"""Repair: what is damaged of a cache is put right, and nothing else is touched."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from featkd.cache import FolderStore, PartLayout, stored_arrays
from featkd.cache.header_file import HeaderFile
from featkd.cache.row_table import encode_row_table
from featkd.cache.verify import Damage, verify
from featkd.cache.write_errors import writing_to
from featkd.cache.writer_lock import WriterLock
from featkd.errors import CacheError, RequirementError
from featkd.experiment.arrays import (
    FRAMES_CRC_ARRAY,
    REPRESENTATION_LAYER,
    TRAJECTORY_LAYER,
    is_extracted_layer,
    is_teacher_layer,
)
from featkd.experiment.detection.representation import represent_detector
from featkd.experiment.detection.workspace import DetectionWorkspace
from featkd.experiment.open_teacher import open_teacher
from featkd.experiment.open_workspace import AnyWorkspace
from featkd.experiment.representation import represent
from featkd.experiment.row_index import RowIndex
from featkd.experiment.workspace import row_table
from featkd.extract.local import extract, require_same_teacher
from featkd.extract.rendering import RowRenderer
from featkd.extract.trajectory import load_trajectory, replays_training
from featkd.types import Progress, Silent

Parts = dict[str, list[int]]
"""Parts by layer."""

Look = Callable[[int], tuple[str | None, int]]
"""Row to the reason why it does not render, if any, and the CRC of its frames."""


@dataclass(frozen=True, slots=True)
class RepairSummary:
    """What a repair did.

    Attributes:
        restored: files that were put right, and modules that were deleted to be trained again.
        retracted: by layer, parts that were taken back and written again.
        rows_recomputed: rows of these; a row counts for each layer.
        still_damaged: what is wrong all the same.
    """

    restored: list[str]
    retracted: Parts
    rows_recomputed: int
    still_damaged: list[Damage]


def repair(
    workspace: AnyWorkspace, *, retry_failed: bool = False, progress: Progress | None = None
) -> RepairSummary:
    """Put right whatever `verify` finds wrong with a workspace's cache.

    Header and metadata are written anew from what is sound; a damaged sample table is made again
    from recipe and manifest; damaged parts are taken back and computed again, by `extract` and
    `represent`, which go on with whatever else is missing. A part is taken back only if the video
    of every row that has data still gives the frames that the teacher saw: what can be read of a
    damaged part is better than nothing. Damaged modules cannot be computed row by row: they and
    their attention are made again, students that were trained with them should be, too.

    Where this is interrupted, `extract` and `represent` go on.

    Args:
        workspace: recipe, teacher and cache.
        retry_failed: compute parts with failed rows again, too, where a video of one renders now.
        progress: shows the work.

    Raises:
        CacheError: there is no cache, or header or sample table cannot be restored.
        CacheLockedError: another process writes to it.
        FingerprintError: recipe, teacher or manifest are not those that the cache was made from.
        StorageFullError: the disk is full.
    """
    path, shown = workspace.cache_path, progress or Silent()
    restored = _restore_header(path)
    with FolderStore.open_for_writing(path) as store:
        restored += _restore_rows(workspace, store)
        damages = verify(path, progress=shown).damages
        restored += _restore_metadata(store, damages)
        broken = sorted({item.path for item in damages if item.path.startswith("modules/")})
        damaged = _damaged_parts(damages)
        retracted: Parts = {}
        if damaged or broken or retry_failed:
            frozen = open_teacher(workspace)
            require_same_teacher(store, frozen.fingerprint)
            rewritten = [file for file in broken if Path(file).name == frozen.module_name]
            if rewritten:  # nothing was learned from the teacher's own
                frozen.save_module(store)
                restored += rewritten
                broken = [file for file in broken if file not in rewritten]
            retracted = _choose_parts(workspace, store, damaged, shown, retry_failed=retry_failed)
        if broken:
            if REPRESENTATION_LAYER in store.layers():  # attention of the modules that go
                recorded = store.committed_parts(REPRESENTATION_LAYER)
                retracted[REPRESENTATION_LAYER] = sorted(recorded)
            restored += _delete_modules(workspace, store, broken, shown)
        for layer, parts in retracted.items():
            for part in parts:
                store.retract_part(layer, part)
        layout = store.layout
    if any(map(is_extracted_layer, retracted)):
        extract(workspace, shown)
    if REPRESENTATION_LAYER in retracted or broken:
        _represent(workspace, shown)
    return RepairSummary(
        restored,
        retracted,
        sum(len(layout.part_range(part)) for parts in retracted.values() for part in parts),
        list(verify(path, progress=shown).damages),
    )


def _represent(workspace: AnyWorkspace, progress: Progress) -> None:
    if isinstance(workspace, DetectionWorkspace):
        represent_detector(workspace, progress)
    else:
        represent(workspace, progress)


def _restore_header(path: Path) -> list[str]:
    header = HeaderFile(path)
    header.problems()  # before a lock file is put where there is no cache
    lock = WriterLock(path / "writer.lock")
    try:
        damaged = [name for name, _ in header.problems()]
        with writing_to(path):
            header.restore()
        return damaged
    finally:
        lock.release()


def _restore_rows(workspace: AnyWorkspace, store: FolderStore) -> list[str]:
    """Make damaged blocks of the sample table again."""
    damaged = store.damaged_blocks()
    if not damaged:
        return []
    recipe, clips = workspace.recipe, workspace.train_clips()
    layout = store.layout
    num_views = [rows // len(clips) for rows in layout.block_rows]
    for number in damaged:
        first = sum(num_views[:number])
        views = range(first, first + num_views[number])
        spec = recipe.views.train.model_copy(update={"num_views": max(views.stop, 1)})
        table = row_table(clips, recipe.data.train_split, spec, recipe.seed, views)
        numbers = PartLayout(layout.part_rows, layout.block_rows[: number + 1]).row_numbers()
        if len(table) == layout.block_rows[number]:
            table = table.assign(row=numbers[-len(table) :])
        if not store.restore_block(number, encode_row_table(table)):
            raise CacheError(
                f"{store.path}/rows/{number}.parquet is damaged, and the recipe's views of "
                f"{recipe.data.manifest} do not make the table it was; put the file back from a "
                "copy, or use the recipe and manifest that made it"
            )
    return [f"rows/{number}.parquet" for number in damaged]


def _restore_metadata(store: FolderStore, damages: Sequence[Damage]) -> list[str]:
    arrays = [
        stored
        for layer in store.layers().values()
        for array in layer.arrays
        for stored in stored_arrays(array)
    ]
    files = {file.relative_to(store.path).as_posix() for file in store.files.metadata(arrays)}
    damaged = [item.path for item in damages if item.path in files]
    if damaged:
        with writing_to(store.path):
            store.files.arrange(store.layout, arrays)
    return damaged


def _damaged_parts(damages: Sequence[Damage]) -> dict[str, set[int]]:
    parts: dict[str, set[int]] = {}
    for item in damages:
        if item.layer is not None and item.part is not None:
            parts.setdefault(item.layer, set()).add(item.part)
    return parts


def _choose_parts(
    workspace: AnyWorkspace,
    store: FolderStore,
    damaged: Mapping[str, Collection[int]],
    progress: Progress,
    *,
    retry_failed: bool,
) -> Parts:
    """Parts that are to be computed again, and can be."""
    look = _make_look(workspace, store)
    chosen: dict[str, set[int]] = {}
    for layer in store.layers():
        if layer == REPRESENTATION_LAYER:  # is computed from the teacher's layers, not from videos
            chosen[layer] = set(damaged.get(layer, ()))
        elif layer == TRAJECTORY_LAYER:
            parts = damaged.get(layer, ())
            if parts and _is_recorded(workspace, store, progress):
                chosen[layer] = set(parts)
        elif is_teacher_layer(layer):
            wanted = {part for part in damaged.get(layer, ()) if _is_redoable(
                store, layer, part, look, progress)}  # fmt: skip
            if retry_failed:
                sound = store.committed_parts(layer) - set(damaged.get(layer, ()))
                wanted |= {
                    part
                    for part in sound
                    if any(look(row)[0] is None for row in store.commit(layer, part).failures)
                    and _is_redoable(store, layer, part, look, progress)
                }
            chosen[layer] = wanted
    if REPRESENTATION_LAYER in chosen:  # rows that failed have no attention either
        retried = set[int]().union(*(parts for name, parts in chosen.items()
                                     if is_teacher_layer(name)))  # fmt: skip
        recorded = store.committed_parts(REPRESENTATION_LAYER) - chosen[REPRESENTATION_LAYER]
        chosen[REPRESENTATION_LAYER] |= {
            part for part in retried & recorded if store.commit(REPRESENTATION_LAYER, part).failures
        }
    return {layer: sorted(parts) for layer, parts in chosen.items() if parts}


def _is_recorded(workspace: AnyWorkspace, store: FolderStore, progress: Progress) -> bool:
    """Whether extraction would copy the trajectory again, from the file it was copied from."""
    reason = "the recipe has no distiller that replays it"
    if replays_training(workspace):
        copied = store.layers()[TRAJECTORY_LAYER].fingerprint.get("trajectory.sha256")
        try:
            if load_trajectory(workspace).sha256 == copied:
                return True
            reason = "the teacher's training left another one"
        except RequirementError as error:
            reason = str(error)
    progress.note(f"damaged parts of layer {TRAJECTORY_LAYER!r} are left as they are: {reason}")
    return False


def _is_redoable(store: FolderStore, layer: str, part: int, look: Look, progress: Progress) -> bool:
    """Whether every row that has data would have the same data again."""
    try:
        failures = store.commit(layer, part).failures
    except CacheError:
        return True  # without its record nobody can read it
    rows = [row for row in store.part_range(part) if row not in failures]
    try:
        checksums: list[int | None] = store.read_rows(FRAMES_CRC_ARRAY, rows).tolist()
    except CacheError:
        checksums = [None] * len(rows)
    for row, checksum in zip(rows, checksums, strict=True):
        reason, found = look(row)
        if reason is None and checksum not in {None, found}:
            reason = f"its frames have CRC32 {found:#010x}, those of the teacher {checksum:#010x}"
        if reason is not None:
            progress.note(
                f"part {part} of layer {layer!r} is left as it is: row {row} could not be computed "
                f"again ({reason}); put its video back and repair again"
            )
            return False
    return True


def _make_look(workspace: AnyWorkspace, store: FolderStore) -> Look:
    clips = workspace.train_clips()
    renderer = RowRenderer(
        clips,
        workspace.recipe.views.train,
        seed=workspace.recipe.seed,
        index=RowIndex(store, clips.video_ids()),
        sizes=(),
        read=workspace.frame_reader(workspace.recipe.teacher.preprocess.modality),
    )

    @cache
    def look(row: int) -> tuple[str | None, int]:
        rendered = renderer(row)
        return rendered.failure, rendered.frames_crc32

    return look


def _delete_modules(
    workspace: AnyWorkspace, store: FolderStore, broken: Sequence[str], progress: Progress
) -> list[str]:
    """Delete damaged modules and what says that they are trained."""
    progress.note(
        f"{', '.join(broken)}: damaged; the representation is trained again. Train students that "
        "used it again, too"
    )
    (workspace.representation_folder / "summary.json").unlink(missing_ok=True)
    for name in broken:
        for suffix in ("safetensors", "json"):
            (store.path / f"{name}.{suffix}").unlink(missing_ok=True)
    return list(broken)
