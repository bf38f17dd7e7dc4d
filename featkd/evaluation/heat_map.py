"""Geometry of a confusion matrix drawn as a heat map."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from featkd.evaluation.number_text import percent

PLOT_SIZE = 320.0
MAX_NAMED_CLASSES = 32
MAX_NUMBERED_CLASSES = 16
MAX_LABEL_CHARACTERS = 15


class Cell(NamedTuple):
    """Videos of one true class taken for one class."""

    x: float
    y: float
    num_videos: int
    share: float
    title: str


class ClassLabel(NamedTuple):
    """A class name beside its row and column: centre of the row, name cut to length."""

    position: float
    text: str
    name: str


@dataclass(frozen=True, slots=True)
class HeatMap:
    """A confusion matrix: true classes downwards, predicted classes to the right.

    ``cells`` holds the cells that are not empty; a shade says which share of the true class's
    videos fell there. ``labels`` is empty where there are too many classes to name, ``numbered``
    tells whether the counts fit into the cells.
    """

    heading: str
    note: str
    size: float
    cell_size: float
    font_size: float
    cells: tuple[Cell, ...]
    labels: tuple[ClassLabel, ...]
    numbered: bool


def heat_map(
    heading: str, note: str, confusion: Sequence[Sequence[int]], classes: Sequence[str]
) -> HeatMap:
    """Lay out a confusion matrix in a square of 320 units.

    Args:
        heading: whose it is.
        note: a few words below the heading.
        confusion: counts, rows the true classes.
        classes: class names in order.
    """
    cell_size = PLOT_SIZE / len(classes)
    cells = tuple(
        Cell(
            round(column * cell_size, 2),
            round(row * cell_size, 2),
            count,
            round(count / sum(counts), 3),
            f"{classes[row]} taken for {classes[column]}: {count} of {sum(counts)} "
            f"({percent(count / sum(counts))} %)",
        )
        for row, counts in enumerate(confusion)
        for column, count in enumerate(counts)
        if count
    )
    labels = tuple(
        ClassLabel(round((order + 0.5) * cell_size, 2), _cut(name), name)
        for order, name in enumerate(classes)
    )
    return HeatMap(
        heading=heading,
        note=note,
        size=PLOT_SIZE,
        cell_size=round(cell_size, 2),
        font_size=round(min(11.5, cell_size * 0.85), 2),
        cells=cells,
        labels=labels if len(classes) <= MAX_NAMED_CLASSES else (),
        numbered=len(classes) <= MAX_NUMBERED_CLASSES,
    )


def _cut(name: str) -> str:
    if len(name) <= MAX_LABEL_CHARACTERS:
        return name
    return name[: MAX_LABEL_CHARACTERS - 1] + "\N{HORIZONTAL ELLIPSIS}"
