"""Maps of a cache, epoch by epoch."""

import numpy as np
import pandas as pd
import pytest
import torch

from featkd.cache import ArraySpec, MemoryStore
from featkd.errors import CacheIncompleteError
from featkd.training.cached_maps import CachedMaps
from featkd.training.views import epoch_pairs

SHAPES = {"a": (2, 4, 1, 1), "b": (3, 2, 2, 2)}
NUM_SAMPLES, NUM_VIEWS = 7, 2


def make_store(num_parts: int) -> MemoryStore:
    num_rows = NUM_SAMPLES * NUM_VIEWS
    rows = pd.DataFrame(
        {
            "row": range(num_rows),
            "video_id": [f"v{row // NUM_VIEWS}" for row in range(num_rows)],
            "view_index": [row % NUM_VIEWS for row in range(num_rows)],
            "label": 0,
            "split": "train",
            "frame_indices": [[0]] * num_rows,
            "crop_box": [[0.0, 0.0, 1.0, 1.0]] * num_rows,
            "flip": False,
        }
    )
    store = MemoryStore(rows, part_rows=7)
    arrays = [
        ArraySpec(name=f"features/{layer}.full", shape=shape, dtype="float32")
        for layer, shape in SHAPES.items()
    ]
    store.add_layer("teacher", arrays, {})
    for part in range(num_parts):
        span = np.arange(7 * part, 7 * part + 7, dtype=np.float32).reshape(7, 1, 1, 1, 1)
        values = {array.name: np.broadcast_to(span, (7, *array.shape)) for array in arrays}
        store.write_part("teacher", part, values, {}, {})
    return store


def make_maps(store: MemoryStore) -> CachedMaps:
    return CachedMaps(
        store=store,
        layers=tuple(SHAPES),
        samples=range(1, NUM_SAMPLES),
        row_of=lambda sample, view_index: sample * NUM_VIEWS + view_index,
        num_views=NUM_VIEWS,
        batch_size=4,
        seed=3,
    )


def test_epoch__gives_whole_batches_in_the_order_of_views() -> None:
    maps = make_maps(make_store(2))
    assert maps.steps_per_epoch == 1
    for epoch in (1, 2, 3):
        (step,) = maps.epoch(epoch)
        chosen, found = step
        assert chosen == epoch_pairs(range(1, 7), num_views=2, epoch=epoch, seed=3)[:4]
        rows = torch.tensor([2 * sample + view for sample, view in chosen], dtype=torch.float32)
        for layer, shape in SHAPES.items():
            assert found[layer].shape == (4, *shape)
            assert (found[layer] == rows.view(4, 1, 1, 1, 1)).all()


def test_epoch__row_that_is_not_there() -> None:
    with pytest.raises(CacheIncompleteError):
        list(make_maps(make_store(1)).epoch(1))
