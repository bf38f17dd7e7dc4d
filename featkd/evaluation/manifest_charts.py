"""Geometry of the charts of a manifest; the template draws what is computed here.

Coordinates are drawing units with the origin at the top left, y downwards.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from featkd.evaluation.axes import Axis, positive_axis
from featkd.evaluation.charts import CHART_WIDTH, Series
from featkd.evaluation.number_text import significant
from featkd.manifest.statistics import ManifestStatistics

# More classes than this are drawn as thin columns without names.
MAX_NAMED_CLASSES = 60
NUM_BINS = 32
NUM_COLOURS = 7


class Bar(NamedTuple):
    """A filled rectangle, and what it says when pointed at."""

    series: Series
    x: float
    y: float
    width: float
    height: float
    title: str


class RowLabel(NamedTuple):
    """What is written beside a row: its name at the left, its number at the end."""

    y: float
    text: str
    total: str
    total_x: float


@dataclass(frozen=True, slots=True)
class BarChart:
    """Bars on an axis of amounts.

    Attributes:
        width: of the drawing.
        height: of the drawing.
        axis: of the amounts: lying below the bars if they have labels, upright otherwise.
        bars: what is filled.
        labels: names of the rows; none where there are too many to write.
        across: axis below upright bars; None where they stand for classes.
    """

    width: float
    height: float
    axis: Axis
    bars: tuple[Bar, ...]
    labels: tuple[RowLabel, ...] = ()
    across: Axis | None = None


class Bubble(NamedTuple):
    """A resolution: centre, radius, and what it says when pointed at."""

    x: float
    y: float
    radius: float
    title: str


@dataclass(frozen=True, slots=True)
class BubbleChart:
    """Resolutions: width to the right, height upwards, area by the number of videos."""

    width: float
    height: float
    x_axis: Axis
    y_axis: Axis
    bubbles: tuple[Bubble, ...]


def split_series(splits: Sequence[str]) -> tuple[Series, ...]:
    """A colour for each split; they begin again after seven."""
    return tuple(
        Series(split, f"method-{order % NUM_COLOURS}") for order, split in enumerate(splits)
    )


def class_chart(statistics: ManifestStatistics) -> BarChart:
    """Lay out the rows of each class, stacked by split.

    Classes are rows in the order of their labels, or, if there are many, columns from the largest
    class to the smallest.
    """
    if len(statistics.class_names) <= MAX_NAMED_CLASSES:
        return _class_rows(statistics)
    return _class_columns(statistics)


def _class_rows(statistics: ManifestStatistics) -> BarChart:
    counts = statistics.class_counts
    splits = split_series(list(statistics.splits))
    longest = max(len(name) for name in statistics.class_names)
    left, row_height = min(300.0, 24.0 + 7.2 * longest), 19.0
    axis = positive_axis([0.0, float(counts.sum(axis=0).max())], left, CHART_WIDTH - 60.0)
    bars, labels = [], []
    for label, name in enumerate(statistics.class_names):
        top = 8.0 + label * row_height
        for split, start, end in _stacked(counts[:, label], axis):
            title = f"{name}, {splits[split].label}: {counts[split, label]}"
            size = (round(end - start, 2), row_height - 5.0)
            bars.append(Bar(splits[split], start, top + 2.5, *size, title))
        total = int(counts[:, label].sum())
        end = axis.place(float(total))
        labels.append(RowLabel(top + row_height / 2, name, str(total), end + 6.0))
    height = 8.0 + row_height * len(labels) + 44.0
    return BarChart(CHART_WIDTH, height, axis, tuple(bars), tuple(labels))


def _class_columns(statistics: ManifestStatistics) -> BarChart:
    counts = statistics.class_counts
    splits = split_series(list(statistics.splits))
    totals = counts.sum(axis=0)
    height, left = 300.0, 56.0
    axis = positive_axis([0.0, float(totals.max())], height - 40.0, 12.0)
    step = (CHART_WIDTH - left - 12.0) / len(totals)
    bars = []
    for order, label in enumerate(np.argsort(-totals, kind="stable").tolist()):
        x = round(left + order * step, 2)
        for split, bottom, top in _stacked(counts[:, label], axis):
            name = statistics.class_names[label]
            title = f"{name}, {splits[split].label}: {counts[split, label]}"
            size = (round(step * 0.86, 2), round(bottom - top, 2))
            bars.append(Bar(splits[split], x, top, *size, title))
    return BarChart(CHART_WIDTH, height, axis, tuple(bars))


def histogram(values: Mapping[str, np.ndarray], unit: str) -> BarChart | None:
    """Lay out how often values occur, stacked by split.

    Bins are equally wide, or equally wide on a logarithmic axis where values span much. Of whole
    numbers, all bins hold equally many.

    Args:
        values: positive numbers by split.
        unit: what is counted, for the text of a bar.

    Returns:
        None if there is no value.
    """
    every = np.concatenate(list(values.values()))
    if not len(every):
        return None
    width, height, left = 500.0, 260.0, 52.0
    splits = split_series(list(values))
    across = positive_axis(every.astype(np.float64).tolist(), left, width - 16.0)
    edges = _bin_edges(across, whole_numbers=every.dtype.kind == "i")
    counts = np.stack([np.histogram(one, edges)[0] for one in values.values()])
    axis = positive_axis([0.0, float(counts.sum(axis=0).max())], height - 42.0, 12.0)
    bars = []
    for number, (low, high) in enumerate(pairwise(edges.tolist())):
        x = across.place(low)
        for split, bottom, top in _stacked(counts[:, number], axis):
            count = counts[split, number]
            span = f"{significant(low)} to {significant(high)} {unit}"
            title = f"{span}, {splits[split].label}: {count}"
            size = (round((across.place(high) - x) * 0.94, 2), round(bottom - top, 2))
            bars.append(Bar(splits[split], x, top, *size, title))
    return BarChart(width, height, axis, tuple(bars), across=across)


def _bin_edges(across: Axis, *, whole_numbers: bool) -> Float[np.ndarray, " edges"]:
    if across.logarithmic:
        return np.geomspace(across.low, across.high, NUM_BINS + 1)
    if whole_numbers:
        step = math.ceil(across.high / NUM_BINS)
        return np.arange(across.low, across.high + step, step)
    return np.linspace(across.low, across.high, NUM_BINS + 1)


def _stacked(counts: Int[np.ndarray, " splits"], axis: Axis) -> Iterator[tuple[int, float, float]]:
    """For each split that has any: its number, and where its part of a bar begins and ends."""
    edges = np.concatenate([[0], np.cumsum(counts)]).astype(np.float64).tolist()
    for split in np.flatnonzero(counts).tolist():
        yield split, axis.place(edges[split]), axis.place(edges[split + 1])


def resolution_chart(resolutions: Mapping[tuple[int, int], int]) -> BubbleChart | None:
    """Lay out resolutions; large ones are drawn first, so that none hides another.

    Args:
        resolutions: number of videos by width and height in pixels.

    Returns:
        None if there is none.
    """
    if not resolutions:
        return None
    width, height, largest = 500.0, 330.0, 22.0
    highest = max(resolutions.values())
    # Room for half a bubble at the edges.
    x_axis = positive_axis([1.08 * size[0] for size in resolutions], 52.0, width - 16.0)
    y_axis = positive_axis([1.08 * size[1] for size in resolutions], height - 42.0, 12.0)
    bubbles = tuple(
        Bubble(
            x_axis.place(float(size[0])),
            y_axis.place(float(size[1])),
            round(max(2.5, largest * math.sqrt(count / highest)), 2),
            f"{size[0]} x {size[1]} pixels: {count}",
        )
        for size, count in sorted(resolutions.items(), key=lambda item: -item[1])
    )
    return BubbleChart(width, height, x_axis, y_axis, bubbles)
