"""Shows tables of experiments."""

from collections.abc import Mapping

import click

from featkd.cli.detection_table import print_detection_table
from featkd.cli.figures import UNKNOWN, gmac, millions, percent, points
from featkd.cli.table_notes import explain
from featkd.cli.tables import print_json, print_table
from featkd.experiment.detection.table import DetectionTable
from featkd.experiment.table import Table, TableRow
from featkd.recipes.table import AnyTableSpec

_WORDS = ("method", "model", "weight")
_COLUMNS = (
    "method",
    "model",
    "weight",
    "every seed",
    "top-1 %",
    "vs baseline",
    "p",
    "GMAC",
    "params M",
    "paper %",
    "paper GMAC",
)


def list_tables(tables: Mapping[str, AnyTableSpec], *, as_json: bool) -> None:
    """The tables that can be made."""
    if as_json:
        print_json({name: table.model_dump(mode="json") for name, table in tables.items()})
        return
    print_table(
        ("table", "what it compares", "full", "mini", "rows"),
        [
            (name, table.title, ", ".join(table.full), ", ".join(table.mini), ", ".join(table.rows))
            for name, table in tables.items()
        ],
    )


def print_made_table(table: Table | DetectionTable) -> None:
    """A row for each student, below a line that says what was measured."""
    if isinstance(table, DetectionTable):
        print_detection_table(table)
        return
    click.echo(
        f"{table.title}; {table.recipe}, split {table.split}: {table.num_videos} videos of "
        f"{table.num_classes} classes; guessing gets {percent(1 / table.num_classes)} %, the "
        f"teacher {percent(table.teacher_top1)} %"
    )
    columns = list(_COLUMNS)
    if not table.searches:
        columns.remove("weight")
    if all(row.published is None for row in table.rows):
        columns.remove("paper %")
    rows = [_row(row) for row in table.rows]
    print_table(
        columns,
        [[row[column] for column in columns] for row in rows],
        numeric=[column for column in columns if column not in _WORDS],
    )
    explain(len(table.rows[0].results), table.searches)


def _row(row: TableRow) -> dict[str, str]:
    deviation = "" if row.deviation is None else f" ± {percent(row.deviation)}"
    difference = row.difference
    p_value = None if difference is None else difference.p_value
    cells = (
        row.label,
        row.model,
        UNKNOWN if row.weight is None else f"{row.weight[0]} {row.weight[1]:g}",
        " ".join(percent(result.top1) for result in row.results),
        f"{percent(row.mean)}{deviation}",
        points(difference.mean) if difference else UNKNOWN,
        UNKNOWN if p_value is None else f"{p_value:.3f}",
        gmac(row.gmac),
        millions(row.parameters),
        percent(row.published),
        gmac(row.published_gmac),
    )
    return dict(zip(_COLUMNS, cells, strict=True))
