"""Pruning: arrays that the recipe does not need are deleted, and what interrupted work left."""

import shutil
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from featkd.cache import (
    TRAJECTORY_ARRAY,
    FolderStore,
    LayerSpec,
    attention_array,
    stored_arrays,
)
from featkd.durable import sync_folder
from featkd.experiment.arrays import REPRESENTATION_LAYER, is_extracted_layer
from featkd.experiment.needs import joint_requirements, taps_to_extract
from featkd.experiment.open_workspace import AnyWorkspace
from featkd.extract.job import wanted_arrays
from featkd.recipes import AnyRecipe


@dataclass(frozen=True, slots=True)
class Pruning:
    """What was deleted, or would be.

    Attributes:
        arrays: their names.
        leftovers: folders, relative to the cache, that nothing in it refers to.
        num_bytes: that both took.
    """

    arrays: tuple[str, ...]
    leftovers: tuple[str, ...]
    num_bytes: int


def needed_arrays(recipe: AnyRecipe) -> set[str]:
    """What ``extract`` and ``represent`` would write for a recipe; all else serves nobody."""
    needs = joint_requirements(recipe)
    names = {
        *wanted_arrays(recipe, taps_to_extract(recipe)),
        *map(attention_array, needs.attention_layers),
    }
    if needs.modules:
        names |= {attention_array(layer) for layer in recipe.representation.layers}
    if needs.trajectory:
        names.add(TRAJECTORY_ARRAY)
    return names


def prune(workspace: AnyWorkspace, *, dry_run: bool = False) -> Pruning:
    """Delete the arrays of extraction and representation that the recipe does not need.

    Layers that somebody else added stay, and so do the frozen modules.

    Args:
        workspace: the recipe.
        dry_run: only say what would be deleted.

    Raises:
        CacheError: there is no cache, or it is damaged or read-only.
        CacheLockedError: another process writes to it.
    """
    path = workspace.cache_path
    with FolderStore.open(path) if dry_run else FolderStore.open_for_writing(path) as store:
        needed = needed_arrays(workspace.recipe)
        layers = store.layers()
        doomed = [
            array.name
            for name, layer in layers.items()
            if is_extracted_layer(name) or name == REPRESENTATION_LAYER
            for array in layer.arrays
            if array.name not in needed
        ]
        folders = _array_folders(store, layers)
        leftovers = _leftovers(store, {folder for found in folders.values() for folder in found})
        num_bytes = sum(
            _folder_bytes(folder)
            for folder in [*leftovers, *(folder for name in doomed for folder in folders[name])]
        )
        if not dry_run:
            if doomed:
                store.remove_arrays(doomed)
            kept = _array_folders(store, store.layers())
            for folder in _leftovers(store, {f for found in kept.values() for f in found}):
                shutil.rmtree(folder)
                sync_folder(folder.parent)
        return Pruning(
            arrays=tuple(doomed),
            leftovers=tuple(folder.relative_to(store.path).as_posix() for folder in leftovers),
            num_bytes=num_bytes,
        )


def _array_folders(store: FolderStore, layers: Mapping[str, LayerSpec]) -> dict[str, list[Path]]:
    """Folders of each array."""
    return {
        array.name: [store.files.part_file(stored, 0).parent for stored in stored_arrays(array)]
        for layer in layers.values()
        for array in layer.arrays
    }


def _leftovers(store: FolderStore, arrays: Collection[Path]) -> list[Path]:
    """The highest folders that belong neither to an array nor to a layer."""
    records = {store.path / "commits" / layer for layer in store.layers()}
    return [
        *_strangers(store.path / "arrays", arrays),
        *_strangers(store.path / "commits", records),
    ]


def _strangers(folder: Path, known: Collection[Path]) -> Iterator[Path]:
    """Folders below a folder that are not known and have no known one in them."""
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        if not path.is_dir() or path in known:
            continue
        if any(other.is_relative_to(path) for other in known):
            yield from _strangers(path, known)
        else:
            yield path


def _folder_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
