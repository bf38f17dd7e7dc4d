"""Copying a cache: to another backend, with other compression, or a part of it."""

import shutil
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from featkd.cache.codec_error import merge
from featkd.cache.folder_store import FolderStore
from featkd.cache.header_file import HEADER_NAME
from featkd.cache.part_layout import PartLayout
from featkd.cache.spec import Backend, Compression, LayerSpec
from featkd.cache.store import CacheStore
from featkd.errors import CacheError, CacheIncompleteError
from featkd.types import Progress, Silent


def copy_cache(
    source: FolderStore,
    path: Path,
    *,
    backend: Backend,
    compression: Compression,
    arrays: Collection[str] | None = None,
    rows: Sequence[int] | None = None,
    progress: Progress | None = None,
) -> FolderStore:
    """Copy a cache, its stored numbers bit for bit; every part is read back and compared.

    A copy that was stopped goes on where it was.

    Args:
        source: the cache; may be incomplete where all its rows are copied.
        path: folder of the copy; new, or left by the same call.
        backend: of the copy.
        compression: of the copy.
        arrays: names of the arrays to copy; all of them where None.
        rows: numbers of the rows to copy; they are renumbered from 0. All, as they are numbered,
            where None.
        progress: shows the work.

    Returns:
        The copy, open for reading.

    Raises:
        CacheError: there is no such array or row, something is damaged, or the folder holds
            something else.
        CacheIncompleteError: a row that is asked for is not committed.
        StorageFullError: the disk is full; run it again to go on.
    """
    if path.resolve() == source.path.resolve():
        raise CacheError(f"{path} is the cache itself; expected a new folder for a copy")
    layers = _chosen_layers(source, arrays)
    target_rows = source.layout.row_numbers() if rows is None else np.asarray(rows, dtype=np.int64)
    with _open_target(source, path, backend, rows) as target:
        source_row = np.zeros(target.layout.capacity, dtype=np.int64)
        source_row[target.layout.row_numbers()] = target_rows
        for name, layer in layers.items():
            specs = [a.model_copy(update={"compression": compression}) for a in layer.arrays]
            target.add_layer(name, specs, layer.fingerprint)
        work = [
            (name, part)
            for name in layers
            for part in range(target.num_parts)
            if part not in target.committed_parts(name)
        ]
        for name, part in (progress or Silent()).track(
            work,
            description="copy",
            total=len(layers) * target.num_parts,
            unit="part",
            done=len(layers) * target.num_parts - len(work),
        ):
            span = target.part_range(part)
            chosen = [int(row) for row in source_row[span.start : span.stop]]
            if rows is not None or _is_committed(source, name, chosen):
                _copy_part(source, target, name, layers[name], part, chosen)
        for module in source.module_names() if arrays is None else []:
            target.save_module(module, *source.load_module(module))
    recipe = source.path / "recipe.yaml"
    if recipe.is_file():
        shutil.copyfile(recipe, path / recipe.name)
    return FolderStore.open(path)


def _chosen_layers(source: CacheStore, arrays: Collection[str] | None) -> dict[str, LayerSpec]:
    known = [array.name for layer in source.layers().values() for array in layer.arrays]
    unknown = sorted(set(arrays or ()) - set(known))
    if unknown:
        raise CacheError(
            f"{source.location} has no array {', '.join(unknown)}; it has {', '.join(known)}"
        )
    layers = {}
    for name, layer in source.layers().items():
        kept = tuple(a for a in layer.arrays if arrays is None or a.name in arrays)
        if kept:
            layers[name] = layer.model_copy(update={"arrays": kept})
    return layers


def _open_target(
    source: CacheStore, path: Path, backend: Backend, rows: Sequence[int] | None
) -> FolderStore:
    table = source.rows
    blocks = [table] if rows is not None else []
    if rows is None:
        stops = np.cumsum(source.layout.block_rows)
        starts = [0, *stops[:-1]]
        blocks = [table.iloc[start:stop] for start, stop in zip(starts, stops, strict=True)]
    else:
        position = {row: index for index, row in enumerate(table["row"].tolist())}
        unknown = [row for row in rows if row not in position]
        if unknown or not rows:
            raise CacheError(
                f"rows {unknown[:3]} do not exist in {source.location}"
                if unknown
                else f"no row of {source.location} is chosen; expected at least one"
            )
        blocks = [table.iloc[[position[row] for row in rows]]]
    blocks = [block.assign(row=np.arange(len(block))) for block in blocks]
    if (path / HEADER_NAME).exists():
        target = FolderStore.open_for_writing(path)
        views = ["video_id", "view_index"]
        begun = blocks[: len(target.layout.block_rows)]
        expected = pd.concat(begun, ignore_index=True)[views].to_numpy().tolist()
        if (
            target.layout != PartLayout(source.part_rows, tuple(map(len, begun)))
            or target.row_columns(views).to_numpy().tolist() != expected
        ):
            target.close()
            raise CacheError(f"{path} holds another cache; expected a new folder for a copy")
        if target.backend != backend:
            target.close()
            raise CacheError(
                f"{path} holds a copy in {target.backend}; expected one in {backend}, or a new "
                "folder"
            )
    else:
        target = FolderStore.create(path, blocks[0], part_rows=source.part_rows, backend=backend)
    try:
        for block in blocks[len(target.layout.block_rows) :]:
            target.add_rows(block)
    except BaseException:
        target.close()
        raise
    return target


def _is_committed(source: CacheStore, layer: str, rows: Sequence[int]) -> bool:
    return {source.layout.part_of(row) for row in rows} <= source.committed_parts(layer)


def _copy_part(
    source: CacheStore,
    target: CacheStore,
    name: str,
    layer: LayerSpec,
    part: int,
    rows: Sequence[int],
) -> None:
    if not _is_committed(source, name, rows):
        raise CacheIncompleteError(
            f"layer {name!r} of {source.location} lacks some of the rows asked for; complete it "
            "first: featkd extract"
        )
    stored: dict[str, np.ndarray] = {}
    for array in layer.arrays:
        stored |= source.read_stored(array.name, rows)
    commits = [source.commit(name, p) for p in sorted({source.layout.part_of(r) for r in rows})]
    reasons = {row: reason for commit in commits for row, reason in commit.failures.items()}
    span = target.part_range(part)
    target.write_stored_part(
        name,
        part,
        stored,
        {span[index]: reasons[row] for index, row in enumerate(rows) if row in reasons},
        commits[0].seconds if len(commits) == 1 else {},
        {
            array.name: merge(errors)
            for array in layer.arrays
            if (errors := [c.codec_errors[array.name] for c in commits
                           if array.name in c.codec_errors])
        },
    )  # fmt: skip
    for array in layer.arrays:
        for key, values in target.read_stored(array.name, span).items():
            if values.tobytes() != stored[key].tobytes():
                raise CacheError(
                    f"{key} of rows {span.start} to {span.stop - 1} in {target.location} reads "
                    "back as something else than was written; the disk may be failing"
                )
