import math
from itertools import pairwise

import pytest

from featkd.evaluation.charts import (
    CostPoint,
    Curve,
    Seeds,
    Series,
    accuracy_curves,
    dot_chart,
    loss_curves,
    scatter_chart,
)
from featkd.evaluation.heat_map import heat_map

KD = Series("kd", "method-0")


def test_dot_chart__equal_seeds_do_not_hide_each_other():
    chart = dot_chart([Seeds(KD, dict.fromkeys(range(12), 0.5))], chance=0.1)

    (row,) = chart.rows
    assert len({(dot.x, dot.y) for dot in row.dots}) == 12
    assert all(0 < dot.y < chart.height - 40 for dot in row.dots)
    assert (row.mean_label, row.dots[3].title) == ("50.0", "kd, seed 3: 50.0 %")


def test_dot_chart__marks_chance_only_on_the_axis():
    high = dot_chart([Seeds(KD, {0: 0.90, 1: 0.95})], chance=0.1)
    low = dot_chart([Seeds(KD, {0: 0.05, 1: 0.95})], chance=0.5)

    assert high.chance_x is None
    assert low.chance_x == pytest.approx((low.axis.start + low.axis.end) / 2)


def test_loss_curves__break_where_the_loss_is_not_finite():
    points = [(1.0, 4.0), (2.0, math.nan), (3.0, 2.0), (4.0, 1.0), (5.0, math.inf)]

    chart = loss_curves("Loss", [Curve(KD, "kd, seed 0", points)])

    (line,) = chart.lines
    assert [letter for letter in line.path if letter in "ML"] == ["M", "M", "L"]
    assert line.end.title == "kd, seed 0: 1 in epoch 4"


def test_curves__nothing_to_draw():
    assert loss_curves("Loss", [Curve(KD, "kd", [(1.0, math.nan)])]) is None
    assert accuracy_curves("Top-1", [Curve(KD, "kd", [])]) is None


def test_accuracy_curves__axis_is_the_whole_range():
    chart = accuracy_curves("Top-1", [Curve(KD, "kd", [(1.0, 0.5), (2.0, 0.6)])])

    assert [tick.label for tick in chart.y_axis.ticks] == ["0", "20", "40", "60", "80", "100"]


def test_scatter_chart__labels_do_not_overlap():
    points = [CostPoint(Series(f"m{i}", ""), 0.5, 0.8, 0.7, 0.9) for i in range(25)]

    chart = scatter_chart(points)

    heights = [dot.label_y for dot in chart.dots]
    assert all(below - above >= 16.9 for above, below in pairwise(heights))
    assert min(heights) > 0
    assert max(heights) <= chart.height - 40


def test_heat_map__shades_by_true_class_and_leaves_empty_cells_out():
    drawn = heat_map("kd", "seed 0", [[3, 1], [0, 0]], ["walk", "a very long class name"])

    assert [(cell.num_videos, cell.share) for cell in drawn.cells] == [(3, 0.75), (1, 0.25)]
    assert drawn.cells[1].title == "walk taken for a very long class name: 1 of 4 (25.0 %)"
    assert drawn.labels[1].text == "a very long cl\N{HORIZONTAL ELLIPSIS}"
    assert drawn.labels[1].name == "a very long class name"


def test_heat_map__many_classes_are_not_named():
    drawn = heat_map("kd", "", [[0] * 101 for _ in range(101)], [str(k) for k in range(101)])

    assert (drawn.labels, drawn.cells, drawn.numbered) == ((), (), False)
