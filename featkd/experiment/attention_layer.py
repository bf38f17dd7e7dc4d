"""The teacher's attention in its cache: heads are trained, then every row's is written."""

import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import numpy as np
from torch import nn

from featkd.cache import ArraySpec, CacheStore, Fingerprint, FolderStore, compare
from featkd.cache.signal import attention_array, feature_array
from featkd.experiment.arrays import REPRESENTATION_LAYER
from featkd.experiment.base_opened_cache import BaseOpenedCache
from featkd.experiment.run_folder import is_finished
from featkd.experiment.workspace import BaseWorkspace
from featkd.recipes.extract_section import ATTENTION_KEY
from featkd.representation import attention_by_row
from featkd.training import settings_digest
from featkd.types import Progress, TapSpec

OpenedT = TypeVar("OpenedT", bound=BaseOpenedCache[Any])


def learn_attention(
    workspace: BaseWorkspace,
    *,
    fingerprint: Fingerprint,
    module: str,
    open_cache: Callable[[FolderStore], OpenedT],
    train: Callable[[OpenedT, str], None],
    load_heads: Callable[[OpenedT], Mapping[str, nn.Module]],
    progress: Progress,
) -> bool:
    """Train what is not trained yet, then write the attention that is missing.

    Args:
        workspace: recipe and folders.
        fingerprint: what attention and modules are made from.
        module: a name that stands beside the cache once all modules do.
        open_cache: opens and checks the cache.
        train: trains, puts the modules beside the cache and finishes the run folder; its settings
            are the digest given.
        load_heads: the trained heads by layer, frozen, on the device.
        progress: shows the work.

    Returns:
        False where all of it was done already.

    Raises:
        UsageError: the run folder holds a run with other settings.
        FeatkdError: what the callables raise.
    """
    folder = workspace.representation_folder
    settings = settings_digest({"fingerprint": dict(fingerprint)})
    with FolderStore.open(workspace.cache_path) as store:
        open_cache(store)
        # The modules went with their cache if that was deleted.
        trained = is_finished(folder, settings) and module in store.module_names()
        if trained and _has_all_attention(store):
            return False
    with FolderStore.open_for_writing(workspace.cache_path) as store:
        opened = open_cache(store)
        if not trained:
            known = store.layers().get(REPRESENTATION_LAYER)
            if known is not None and compare(known.fingerprint, fingerprint):
                # Attention of modules that are about to be replaced.
                store.remove_arrays([array.name for array in known.arrays])
            train(opened, settings)
        _write_attention(workspace, opened, load_heads(opened), fingerprint, progress)
    return True


def map_shape(store: CacheStore, layer: str) -> tuple[int, int, int, int]:
    """(C, T, H, W) of a layer's cached maps."""
    wanted = feature_array(TapSpec(layer, "full"))
    arrays = [array for held in store.layers().values() for array in held.arrays]
    (shape,) = [array.shape for array in arrays if array.name == wanted]
    channels, num_steps, height, width = shape
    return channels, num_steps, height, width


def _has_all_attention(store: CacheStore) -> bool:
    return (
        REPRESENTATION_LAYER in store.layers()
        and len(store.committed_parts(REPRESENTATION_LAYER)) == store.num_parts
    )


def _write_attention(
    workspace: BaseWorkspace,
    opened: BaseOpenedCache[Any],
    heads: Mapping[str, nn.Module],
    fingerprint: Fingerprint,
    progress: Progress,
) -> None:
    store = opened.store
    dtype, compression = workspace.recipe.extract.codec(ATTENTION_KEY)
    if REPRESENTATION_LAYER in store.layers():  # it goes on as it was begun
        (compression,) = {a.compression for a in store.layers()[REPRESENTATION_LAYER].arrays}
    shapes = {layer: map_shape(store, layer)[:2] for layer in heads}
    specs = [
        ArraySpec(name=attention_array(layer), shape=shape, dtype=dtype, compression=compression)
        for layer, shape in shapes.items()
    ]
    store.add_layer(REPRESENTATION_LAYER, specs, fingerprint)
    done = store.committed_parts(REPRESENTATION_LAYER)
    missing = [part for part in range(store.num_parts) if part not in done]
    for part in progress.track(
        missing, description="attention", total=store.num_parts, unit="part", done=len(done)
    ):
        started = time.perf_counter()
        rows = store.part_range(part)
        failures = {row: opened.failures[row] for row in rows if row in opened.failures}
        readable = [row for row in rows if row not in failures]
        values = {
            attention_array(layer): np.zeros((len(rows), *shape), dtype=np.float32)
            for layer, shape in shapes.items()
        }
        for layer, head in heads.items():
            if readable:
                maps = store.read_rows(feature_array(TapSpec(layer, "full")), readable)
                attention = attention_by_row(head, maps.to(workspace.device).float())
                places = [row - rows.start for row in readable]
                values[attention_array(layer)][places] = attention.cpu().numpy()
        seconds = {"attention": time.perf_counter() - started}
        store.write_part(REPRESENTATION_LAYER, part, values, failures, seconds)
