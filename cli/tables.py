"""Results on stdout: tables for people, JSON for programs."""

import json
import sys
from collections.abc import Sequence

import click
from rich import box
from rich.console import Console
from rich.table import Table

MAX_LISTED = 10
_WIDTH_OF_FILES = 200


def print_json(content: object) -> None:
    """One JSON document; paths become text."""
    click.echo(json.dumps(content, indent=2, default=str, ensure_ascii=False))


def print_table(
    columns: Sequence[str], rows: Sequence[Sequence[str]], *, numeric: Sequence[str] = ()
) -> None:
    """A table, and an empty line below it.

    Args:
        columns: headings.
        rows: cells, in the order of the headings.
        numeric: headings of the columns that are flush right.
    """
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for column in columns:
        table.add_column(column, justify="right" if column in numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*row)
    # A file or a pipe has no width: there, nothing is wrapped.
    width = None if sys.stdout.isatty() else _WIDTH_OF_FILES
    Console(markup=False, emoji=False, highlight=False, width=width).print(table)
    click.echo()


def print_listed(lines: Sequence[str], heading: str) -> None:
    """The first few of many lines, then how many there are more; nothing where there is none."""
    if not lines:
        return
    click.echo(heading)
    for line in lines[:MAX_LISTED]:
        click.echo(f"  {line}")
    if len(lines) > MAX_LISTED:
        click.echo(f"  and {len(lines) - MAX_LISTED} more; --json lists all")
