"""Geometry of the report's charts; the template draws what is computed here.

Coordinates are drawing units with the origin at the top left, y downwards.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from featkd.evaluation.axes import Axis, epoch_axis, linear_axis, positive_axis
from featkd.evaluation.number_text import percent, significant

CHART_WIDTH = 1040.0
PERCENT = 0.01


class Series(NamedTuple):
    """What is drawn in one style: its name for readers, its CSS classes."""

    label: str
    style: str


class Mark(NamedTuple):
    """A dot, and what it says when pointed at."""

    x: float
    y: float
    title: str


class DotRow(NamedTuple):
    """One method: a dot a seed, a tick at the mean."""

    series: Series
    y: float
    dots: tuple[Mark, ...]
    mean_x: float
    mean_label: str


@dataclass(frozen=True, slots=True)
class DotChart:
    """Accuracy by method, every seed visible."""

    width: float
    height: float
    axis: Axis
    rows: tuple[DotRow, ...]
    chance_x: float | None


class Seeds(NamedTuple):
    """What one method reached, by seed: top-1 or mAP as fractions."""

    series: Series
    reached: Mapping[int, float]


def dot_chart(methods: Sequence[Seeds], chance: float | None = None) -> DotChart:
    """Lay out one row a method. The axis covers the data; chance is marked if it lies within.

    Args:
        methods: at least one, each with at least one seed.
        chance: what guessing reaches, where that is known.
    """
    every_value = [value for method in methods for value in method.reached.values()]
    axis = linear_axis(every_value, 200.0, CHART_WIDTH - 70.0, num_ticks=8, unit=PERCENT)
    rows: list[DotRow] = []
    top = 12.0
    for method in methods:
        # Seeds keep to lanes of their own: equal accuracies must not hide each other.
        lane = min(6.0, 30.0 / len(method.reached))
        height = 20.0 + lane * len(method.reached)
        middle = top + height / 2
        dots = tuple(
            Mark(
                axis.place(value),
                round(middle + (order - (len(method.reached) - 1) / 2) * lane, 2),
                f"{method.series.label}, seed {seed}: {percent(value)} %",
            )
            for order, (seed, value) in enumerate(method.reached.items())
        )
        mean = sum(method.reached.values()) / len(method.reached)
        rows.append(DotRow(method.series, round(middle, 2), dots, axis.place(mean), percent(mean)))
        top += height
    chance_x = None
    if chance is not None and axis.low <= chance <= axis.high:
        chance_x = axis.place(chance)
    return DotChart(CHART_WIDTH, top + 44.0, axis, tuple(rows), chance_x)


class Curve(NamedTuple):
    """Values of one run over epochs."""

    series: Series
    title: str
    points: Sequence[tuple[float, float]]


class Line(NamedTuple):
    """A drawn curve: SVG path, last point, and what it says when pointed at."""

    series: Series
    path: str
    end: Mark


@dataclass(frozen=True, slots=True)
class LineChart:
    """Curves over epochs."""

    width: float
    height: float
    heading: str
    x_axis: Axis
    y_axis: Axis
    lines: tuple[Line, ...]


def accuracy_curves(heading: str, curves: Sequence[Curve]) -> LineChart | None:
    """Lay out curves of fractions on an axis from 0 to 100 %.

    A line breaks where a value is not finite.

    Args:
        heading: what is drawn, with its unit.
        curves: one a run.

    Returns:
        None if there is no value to draw.
    """
    return _line_chart(
        heading,
        curves,
        lambda values, start, end: linear_axis([0.0, 1.0, *values], start, end, unit=PERCENT),
        lambda value: f"{percent(value)} %",
    )


def loss_curves(heading: str, curves: Sequence[Curve]) -> LineChart | None:
    """Lay out curves of amounts on an axis from 0, or a logarithmic one if they span much.

    A line breaks where a value is not finite, as the loss of a diverged run.

    Args:
        heading: what is drawn.
        curves: one a run, or one a term.

    Returns:
        None if there is no value to draw.
    """
    return _line_chart(heading, curves, positive_axis, significant)


def _line_chart(
    heading: str,
    curves: Sequence[Curve],
    build_axis: Callable[[Sequence[float], float, float], Axis],
    write: Callable[[float], str],
) -> LineChart | None:
    values = [value for curve in curves for _, value in curve.points if math.isfinite(value)]
    if not values:
        return None
    width, height = 330.0, 240.0
    last_epoch = max(round(epoch) for curve in curves for epoch, _ in curve.points)
    x_axis = epoch_axis(last_epoch, 40.0, width - 12.0)
    y_axis = build_axis(values, height - 40.0, 12.0)
    lines = []
    for curve in curves:
        finite = [point for point in curve.points if math.isfinite(point[1])]
        if not finite:
            continue
        epoch, value = finite[-1]
        title = f"{curve.title}: {write(value)} in epoch {epoch:g}"
        end = Mark(x_axis.place(epoch), y_axis.place(value), title)
        lines.append(Line(curve.series, curve_path(curve.points, x_axis, y_axis), end))
    return LineChart(width, height, heading, x_axis, y_axis, tuple(lines))


def curve_path(points: Sequence[tuple[float, float]], x_axis: Axis, y_axis: Axis) -> str:
    """SVG path through points; it breaks where a value is not finite."""
    steps = []
    command = "M"
    for epoch, value in points:
        if math.isfinite(value):
            steps.append(f"{command}{x_axis.place(epoch):g} {y_axis.place(value):g}")
            command = "L"
        else:
            command = "M"
    return " ".join(steps)


class CostPoint(NamedTuple):
    """A method's cost and accuracies (fractions), to be drawn."""

    series: Series
    gmac: float
    mean: float
    lowest: float
    highest: float


class ScatterDot(NamedTuple):
    """A method in the cost chart: dot, range over seeds, height of its label."""

    series: Series
    dot: Mark
    lowest_y: float
    highest_y: float
    label_y: float


@dataclass(frozen=True, slots=True)
class ScatterChart:
    """Cost against accuracy."""

    width: float
    height: float
    x_axis: Axis
    y_axis: Axis
    dots: tuple[ScatterDot, ...]


def scatter_chart(points: Sequence[CostPoint]) -> ScatterChart:
    """Lay out cost to the right, accuracy upwards, and labels in a column beside the plot.

    Args:
        points: at least one.
    """
    line_height = 17.0
    height = max(360.0, 60.0 + line_height * len(points))
    x_axis = positive_axis([point.gmac for point in points], 48.0, CHART_WIDTH - 240.0)
    accuracies = [value for point in points for value in (point.lowest, point.highest)]
    y_axis = linear_axis(accuracies, height - 40.0, 12.0, unit=PERCENT)
    ordered = sorted(points, key=lambda point: -point.mean)
    label_ys = _spread([y_axis.place(p.mean) for p in ordered], line_height, height - 40.0)
    dots = tuple(
        ScatterDot(
            point.series,
            Mark(
                x_axis.place(point.gmac),
                y_axis.place(point.mean),
                f"{point.series.label}: {percent(point.mean)} % at "
                f"{significant(point.gmac)} GMAC, seeds from {percent(point.lowest)} to "
                f"{percent(point.highest)} %",
            ),
            y_axis.place(point.lowest),
            y_axis.place(point.highest),
            label_y,
        )
        for point, label_y in zip(ordered, label_ys, strict=True)
    )
    return ScatterChart(CHART_WIDTH, height, x_axis, y_axis, dots)


def _spread(heights: Sequence[float], gap: float, bottom: float) -> list[float]:
    """Push ascending heights apart to at least ``gap``, then back up to end above ``bottom``."""
    spread: list[float] = []
    for height in heights:
        spread.append(max(height, spread[-1] + gap) if spread else height)
    limit = bottom
    for index in range(len(spread) - 1, -1, -1):
        spread[index] = round(min(spread[index], limit), 2)
        limit = spread[index] - gap
    return spread
