"""Makes the caches in ``tests/cache/format_2`` that every later version must be able to read.

python tests/cache/make_format_fixture.py

Run it once for a new format, never again: what matters is that old bytes stay readable.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import torch

from featkd.cache import ArraySpec, Backend, FolderStore

FOLDER = Path(__file__).parent / "format_2"
NUM_ROWS = 5
PART_ROWS = 3
ARRAYS = (
    ArraySpec(name="logits", shape=(4,), dtype="float32"),
    ArraySpec(name="features/a.full", shape=(3, 2, 2, 2), dtype="float16"),
    ArraySpec(name="features/b.full", shape=(3, 2), dtype="bfloat16"),
    ArraySpec(name="features/c.full", shape=(3, 2), dtype="float8_e4m3"),
    ArraySpec(name="features/d.full", shape=(3, 2), dtype="float8_e5m2"),
    ArraySpec(name="features/e.full", shape=(3, 4), dtype="scaled_uint8"),
    ArraySpec(name="view_crc32", shape=(), dtype="uint32"),
)
FAILED_ROW = 1


def rows() -> pd.DataFrame:
    """The sample table."""
    return pd.DataFrame(
        {
            "row": range(NUM_ROWS),
            "video_id": [f"video_{row}" for row in range(NUM_ROWS)],
            "view_index": [0] * NUM_ROWS,
            "label": [row % 4 for row in range(NUM_ROWS)],
            "split": ["train"] * NUM_ROWS,
            "frame_indices": [[row, row + 1] for row in range(NUM_ROWS)],
            "crop_box": [[0.0, 0.0, 1.0, 1.0]] * NUM_ROWS,
            "flip": [False] * NUM_ROWS,
        }
    )


def row_values(array: ArraySpec, row: int) -> np.ndarray:
    """What is put into a row: small whole numbers, which every number format here keeps exactly."""
    count = np.arange(np.prod(array.shape, dtype=int)).reshape(array.shape)
    if array.dtype == "scaled_uint8":
        # Two levels for each channel: offset and offset + 255 steps.
        count = np.where(count % 2, 255, 0)
    numbers = (count + row) % 8 if array.dtype != "scaled_uint8" else count + row
    return np.asarray(numbers, dtype="uint32" if array.dtype == "uint32" else "float32")


def make(path: Path, backend: Backend) -> None:
    """Make a cache with every number format, a row that failed, and rows added later."""
    compression = "zstd" if backend == "zarr" else "gzip"
    arrays = [array.model_copy(update={"compression": compression}) for array in ARRAYS]
    with FolderStore.create(path, rows(), part_rows=PART_ROWS, backend=backend) as store:
        store.add_layer("teacher", arrays, {"teacher.model": "i3d", "views.seed": 0})
        store.add_rows(rows().iloc[:2].assign(view_index=1))
        for part in range(store.num_parts):
            span = store.part_range(part)
            data = {a.name: np.stack([row_values(a, row) for row in span]) for a in arrays}
            failures = {FAILED_ROW: "the file is damaged"} if FAILED_ROW in span else {}
            store.write_part("teacher", part, data, failures, {"teacher": 0.5})
        store.save_module("classifier", {"weight": torch.arange(4.0)}, {"num_classes": 4})
    (path / "writer.lock").unlink()


if __name__ == "__main__":
    make(FOLDER / "zarr", "zarr")
    make(FOLDER / "hdf5", "hdf5")
