"""Shows tables of detectors."""

import click

from featkd.cli.figures import UNKNOWN, gmac, millions, percent, points
from featkd.cli.table_notes import explain
from featkd.cli.tables import print_table
from featkd.experiment.detection.table import (
    DetectionFigures,
    DetectionTable,
    DetectionTableRow,
)

_WORDS = ("method", "model", "weight")


def print_detection_table(table: DetectionTable) -> None:
    """The teacher, then a row for each student: mAP by threshold, averages, the paper's beside."""
    click.echo(
        f"{table.title}; {table.recipe}, split {table.split}: {table.num_videos} videos, "
        f"{table.num_segments:,} segments of {table.num_classes} classes; mAP in % by threshold of "
        "tIoU, mean over seeds"
    )
    columns = [*_WORDS, *table.thresholds, "average", "vs baseline", "p", "GMAC", "params M"]
    columns.append("paper's average")
    if not table.searches:
        columns.remove("weight")
    rows = [_teacher(table), *map(_student, table.rows)]
    print_table(
        columns,
        [[row.get(column, UNKNOWN) for column in columns] for row in rows],
        numeric=[column for column in columns if column not in _WORDS],
    )
    click.echo("The paper's averages are of THUMOS14, its teacher's of two streams.")
    explain(len(table.rows[0].results), table.searches)


def _teacher(table: DetectionTable) -> dict[str, str]:
    return {
        "method": "teacher",
        **_by_threshold(table.teacher),
        "average": percent(table.teacher.average),
        "GMAC": gmac(table.teacher_gmac),
        "params M": millions(table.teacher_parameters),
        **_published(table.published_teacher),
    }


def _student(row: DetectionTableRow) -> dict[str, str]:
    deviation = "" if row.deviation is None else f" ± {percent(row.deviation)}"
    difference = row.difference
    p_value = None if difference is None else difference.p_value
    return {
        "method": row.label,
        "model": row.model,
        "weight": UNKNOWN if row.weight is None else f"{row.weight[0]} {row.weight[1]:g}",
        **_by_threshold(row.mean),
        "average": f"{percent(row.mean.average)}{deviation}",
        "vs baseline": points(difference.mean) if difference else UNKNOWN,
        "p": UNKNOWN if p_value is None else f"{p_value:.3f}",
        "GMAC": gmac(row.gmac),
        "params M": millions(row.parameters),
        **_published(row.published),
    }


def _by_threshold(figures: DetectionFigures) -> dict[str, str]:
    return {limit: percent(value) for limit, value in figures.by_threshold.items()}


def _published(figures: DetectionFigures | None) -> dict[str, str]:
    return {} if figures is None else {"paper's average": percent(figures.average)}
