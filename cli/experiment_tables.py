"""Shows tables of experiments."""

from collections.abc import Mapping

import click

from featkd.cli.figures import UNKNOWN, gmac, millions, percent, points
from featkd.cli.tables import print_json, print_table
from featkd.experiment.table import Table, TableRow
from featkd.recipes.table import TableSpec

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


def list_tables(tables: Mapping[str, TableSpec], *, as_json: bool) -> None:
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


def print_made_table(table: Table) -> None:
    """A row for each student, below a line that says what was measured."""
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
    click.echo(
        "± is the sample deviation over seeds. p is of the exact paired sign-flip test over seeds; "
        f"{len(table.rows[0].results)} seeds cannot give less than "
        f"{2 / 2 ** len(table.rows[0].results):g}."
    )
    edges = [name for name, found in table.searches.items() if found.is_at_the_edge]
    if edges:
        click.echo(
            f"The chosen weight of {', '.join(edges)} is the least or the greatest that was tried; "
            "one beyond it may be better."
        )


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
