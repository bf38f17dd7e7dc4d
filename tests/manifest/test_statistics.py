from collections.abc import Callable

import numpy as np
import pytest

from featkd.manifest import Manifest, measure_manifest, quantiles
from featkd.manifest.statistics import ManifestStatistics, SplitStatistics


@pytest.fixture
def statistics(manifest_of: Callable[..., Manifest]) -> ManifestStatistics:
    """Five rows of two splits and two of three classes; one is unreadable, one has no rate."""
    rows = [
        {"num_frames": 10, "group": "g"},
        {"num_frames": 30, "group": "g", "width": 64, "height": 48},
        {"num_frames": 0, "class_name": "jump", "width": 0, "height": 0, "fps": 0.0},
        {"num_frames": 20, "class_name": "jump", "split": "test", "fps": 0.0},
        {"num_frames": 50, "class_name": "jump", "split": "test", "fps": 25.0},
    ]
    return measure_manifest(manifest_of(rows, classes=("run", "sit", "jump")))


def test_measure__splits(statistics: ManifestStatistics) -> None:
    assert statistics.splits == {
        "train": SplitStatistics(3, 2, 1, 40, 4.0, 1),
        "test": SplitStatistics(2, 1, 0, 70, 2.0, 0),
    }


def test_measure__classes(statistics: ManifestStatistics) -> None:
    assert statistics.class_counts.tolist() == [[2, 0, 1], [0, 0, 2]]
    assert statistics.imbalance is None
    assert statistics.class_names == ("run", "sit", "jump")


def test_measure__imbalance(manifest_of: Callable[..., Manifest]) -> None:
    rows = [{}, {}, {}, {"class_name": "jump"}, {"class_name": "jump", "split": "test"}]
    assert measure_manifest(manifest_of(rows)).imbalance == 1.5


def test_measure__lengths_rates_and_sizes(statistics: ManifestStatistics) -> None:
    assert {split: one.tolist() for split, one in statistics.frames.items()} == {
        "train": [10, 30],
        "test": [20, 50],
    }
    assert {split: one.tolist() for split, one in statistics.seconds.items()} == {
        "train": [1.0, 3.0],
        "test": [2.0],
    }
    assert list(statistics.frame_rates.items()) == [(10.0, 2), (25.0, 1)]
    assert list(statistics.resolutions.items()) == [((32, 24), 3), ((64, 48), 1)]


def test_quantiles__over_all_splits() -> None:
    spread = quantiles({"a": np.arange(50.0), "b": np.arange(50.0, 101.0)})
    assert spread == (0.0, 5.0, 50.0, 95.0, 100.0)
    assert quantiles({"a": np.array([])}) is None
