"""What a manifest holds, in numbers: class balance, lengths, resolutions."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from featkd.manifest.manifest import Manifest


class SplitStatistics(NamedTuple):
    """What a split holds.

    Attributes:
        num_videos: rows.
        num_classes: classes with at least one row.
        num_groups: groups that rows name.
        num_frames: frames of all rows.
        seconds: length of all rows, in seconds.
        num_unreadable: rows of 0 frames.
    """

    num_videos: int
    num_classes: int
    num_groups: int
    num_frames: int
    seconds: float
    num_unreadable: int


class Quantiles(NamedTuple):
    """How a quantity is spread over rows."""

    lowest: float
    percentile_5: float
    median: float
    percentile_95: float
    highest: float


@dataclass(frozen=True, slots=True)
class ManifestStatistics:
    """A manifest in numbers. Rows of 0 frames count as videos and have no length.

    Attributes:
        splits: what each split holds.
        class_counts: rows by split and class; columns in the order of the labels.
        class_names: class names in that order.
        frames: frames of each readable row, by split.
        seconds: frames over frame rate of each readable row that has a rate, by split.
        frame_rates: rows by frame rate, the commonest first.
        resolutions: rows by width and height in pixels, the commonest first.
    """

    splits: Mapping[str, SplitStatistics]
    class_counts: Int[np.ndarray, "splits classes"]
    class_names: tuple[str, ...]
    frames: Mapping[str, Int[np.ndarray, " rows"]]
    seconds: Mapping[str, Float[np.ndarray, " rows"]]
    frame_rates: Mapping[float, int]
    resolutions: Mapping[tuple[int, int], int]

    @property
    def imbalance(self) -> float | None:
        """Rows of the largest class over rows of the smallest; None if a class has none."""
        totals = self.class_counts.sum(axis=0)
        return None if totals.min() == 0 else float(totals.max() / totals.min())


def measure_manifest(manifest: Manifest) -> ManifestStatistics:
    """Count and measure the rows of a manifest; no file is read.

    Args:
        manifest: what to measure.
    """
    names = ["label", "split", "num_frames", "fps", "width", "height", "group"]
    table = manifest.select(names)
    splits = manifest.splits()
    counts = np.zeros((len(splits), len(manifest.header.classes)), dtype=np.int64)
    numbers = pd.Categorical(table["split"], categories=splits).codes
    np.add.at(counts, (numbers, table["label"].to_numpy()), 1)
    readable = table[table["num_frames"] > 0]
    timed = readable[readable["fps"] > 0]
    seconds = timed["num_frames"] / timed["fps"]
    return ManifestStatistics(
        splits={split: _split_statistics(table[table["split"] == split]) for split in splits},
        class_counts=counts,
        class_names=manifest.header.classes,
        frames={
            split: readable["num_frames"][readable["split"] == split].to_numpy() for split in splits
        },
        seconds={split: seconds[timed["split"] == split].to_numpy() for split in splits},
        frame_rates=_commonest(timed["fps"].round(3)),
        resolutions=_commonest(readable[["width", "height"]]),
    )


def quantiles(values: Mapping[str, np.ndarray]) -> Quantiles | None:
    """How values by split are spread over all splits; None where there are none."""
    every = np.concatenate(list(values.values()))
    if not len(every):
        return None
    return Quantiles(*np.quantile(every, [0.0, 0.05, 0.5, 0.95, 1.0]).tolist())


def _split_statistics(rows: pd.DataFrame) -> SplitStatistics:
    timed = rows[rows["fps"] > 0]
    return SplitStatistics(
        num_videos=len(rows),
        num_classes=int(rows["label"].nunique()),
        num_groups=int(rows["group"].nunique()),
        num_frames=int(rows["num_frames"].sum()),
        seconds=float((timed["num_frames"] / timed["fps"]).sum()),
        num_unreadable=int((rows["num_frames"] == 0).sum()),
    )


def _commonest(values: pd.Series | pd.DataFrame) -> dict[Any, int]:
    """Values, or tuples of them, with their counts, the commonest first; the lesser of equals."""
    counts = values.value_counts().sort_index().sort_values(ascending=False, kind="stable")
    return {key: int(count) for key, count in counts.to_dict().items()}
