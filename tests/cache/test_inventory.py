from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from featkd.cache import ArraySpec, Backend, FolderStore, choose_rows, take_inventory
from featkd.errors import CacheError

FEATURES = ArraySpec(
    name="features/a", shape=(4, 2, 3, 3), dtype="scaled_uint8", compression="none"
)
COUNTS = ArraySpec(name="counts", shape=(), dtype="int64", compression="none")


def _rows(num_videos: int, num_views: int) -> pd.DataFrame:
    pairs = [(video, view) for video in range(num_videos) for view in range(num_views)]
    return pd.DataFrame(
        {
            "row": np.arange(len(pairs)),
            "video_id": [f"v{video}" for video, _ in pairs],
            "view_index": [view for _, view in pairs],
            "label": 0,
            "split": "train",
            "frame_indices": [[0]] * len(pairs),
            "crop_box": [[0.0, 0.0, 1.0, 1.0]] * len(pairs),
            "flip": False,
        }
    )


@pytest.fixture(params=["zarr", "hdf5"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> FolderStore:
    """Ten rows of five videos in parts of four; the last part is not written."""
    backend: Backend = request.param
    generator = np.random.default_rng(0)
    with FolderStore.create(tmp_path / "cache", _rows(5, 2), part_rows=4, backend=backend) as made:
        made.add_layer("teacher", [FEATURES, COUNTS], {})
        for part in range(2):
            values = {
                "features/a": generator.normal(size=(4, *FEATURES.shape)).astype(np.float32),
                "counts": np.arange(4),
            }
            made.write_part("teacher", part, values, {0: "damaged"} if part == 0 else {}, {})
    return FolderStore.open(tmp_path / "cache")


def test_inventory__counts_files_of_what_is_committed(store: FolderStore) -> None:
    features, counts = take_inventory(store)
    assert (features.spec, counts.spec) == (FEATURES, COUNTS)
    assert features.num_rows == counts.num_rows == 8
    assert features.raw_row_bytes == 4 * 2 * 3 * 3 + 4 * 2 * 4  # levels and their scales
    assert counts.raw_row_bytes == 8
    files = [path for path in (store.path / "arrays").rglob("*") if path.is_file()]
    sizes = {
        name: sum(path.stat().st_size for path in files if name in path.parts) for name in
        ("a", "counts")
    }  # fmt: skip
    metadata = {
        name: sum(p.stat().st_size for p in files if name in p.parts and p.name == "zarr.json")
        for name in sizes
    }
    assert features.num_bytes == sizes["a"] - metadata["a"]
    assert counts.num_bytes == sizes["counts"] - metadata["counts"]
    assert features.row_bytes == features.num_bytes / 8
    assert features.ratio == pytest.approx(features.raw_row_bytes * 8 / features.num_bytes)


def test_inventory__merges_the_errors_of_parts(store: FolderStore) -> None:
    features, counts = take_inventory(store)
    assert counts.codec_error is None
    assert features.codec_error is not None
    parts = [store.commit("teacher", part).codec_errors["features/a"] for part in range(2)]
    assert features.codec_error.sum_squares == sum(part.sum_squares for part in parts)
    assert features.codec_error.sum_squares > max(part.sum_squares for part in parts)
    assert 0 < features.codec_error.relative_l2 < 0.01


def test_inventory__nothing_committed(tmp_path: Path) -> None:
    with FolderStore.create(tmp_path / "cache", _rows(1, 1)) as made:
        made.add_layer("teacher", [FEATURES], {})
        (features,) = take_inventory(made)
    assert (features.num_rows, features.num_bytes) == (0, 0)
    assert (features.row_bytes, features.ratio) == (0, 0)
    assert features.codec_error is None


def test_inventory__forgets_arrays_that_were_removed(store: FolderStore) -> None:
    (before, _) = take_inventory(store)
    with FolderStore.open_for_writing(store.path) as writer:
        writer.remove_arrays(["counts"])
    assert take_inventory(store) == [before]


@pytest.mark.parametrize(
    ("videos", "num_views", "expected"),
    [
        (None, None, list(range(10))),
        (["v3", "v1"], None, [2, 3, 6, 7]),
        (None, 1, [0, 2, 4, 6, 8]),
        (["v4"], 1, [8]),
        (["v4"], 7, [8, 9]),
    ],
)
def test_choose_rows__by_video_and_view(
    store: FolderStore, videos: list[str] | None, num_views: int | None, expected: list[int]
) -> None:
    assert choose_rows(store, videos=videos, num_views=num_views) == expected


def test_choose_rows__names_some_of_the_unknown_videos(store: FolderStore) -> None:
    with pytest.raises(CacheError, match=r"no video 'a', 'b', 'c' and 1 more; expected"):
        choose_rows(store, videos=["d", "c", "v1", "b", "a"])


def test_choose_rows__none_is_left(store: FolderStore) -> None:
    with pytest.raises(CacheError, match="expected at least one"):
        choose_rows(store, videos=[])
