"""The teacher's attention in its cache: of every row, for each layer that has a head."""

import time
from collections.abc import Mapping

import numpy as np
from torch import nn

from featkd.cache import ArraySpec, CacheStore, Fingerprint, FolderStore, compare
from featkd.cache.signal import attention_array, feature_array
from featkd.experiment.arrays import REPRESENTATION_LAYER
from featkd.experiment.opened_cache import OpenedCache
from featkd.experiment.workspace import BaseWorkspace
from featkd.recipes.extract_section import ATTENTION_KEY
from featkd.representation import attention_by_row
from featkd.types import Progress, TapSpec


def has_all_attention(store: CacheStore) -> bool:
    """Whether every part's attention is committed."""
    return (
        REPRESENTATION_LAYER in store.layers()
        and len(store.committed_parts(REPRESENTATION_LAYER)) == store.num_parts
    )


def remove_other_attention(store: FolderStore, fingerprint: Fingerprint) -> None:
    """Remove attention that was made from something else: of modules about to be replaced."""
    known = store.layers().get(REPRESENTATION_LAYER)
    if known is not None and compare(known.fingerprint, fingerprint):
        store.remove_arrays([array.name for array in known.arrays])


def map_shape(store: CacheStore, layer: str) -> tuple[int, int, int, int]:
    """(C, T, H, W) of a layer's cached maps."""
    wanted = feature_array(TapSpec(layer, "full"))
    arrays = [array for held in store.layers().values() for array in held.arrays]
    (shape,) = [array.shape for array in arrays if array.name == wanted]
    channels, num_steps, height, width = shape
    return channels, num_steps, height, width


def write_attention(
    workspace: BaseWorkspace,
    opened: OpenedCache,
    heads: Mapping[str, nn.Module],
    fingerprint: Fingerprint,
    progress: Progress,
) -> None:
    """Write the attention of every part that has none yet.

    Args:
        workspace: recipe and device.
        opened: the cache, open for writing.
        heads: by layer, frozen, on the device.
        fingerprint: what the attention is made from.
        progress: shows the work.
    """
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
