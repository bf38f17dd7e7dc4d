"""What a file of weights holds, and how it fits, for people."""

from collections.abc import Mapping

import click

from featkd.cli.tables import print_listed, print_table
from featkd.models import MatchReport


def print_weights(found: Mapping[str, object]) -> None:
    """One line a fact."""
    rows = [[name.replace("_", " "), _text(value)] for name, value in found.items()]
    print_table(["weights", ""], rows)


def print_match(report: MatchReport) -> None:
    """What matched, and the first names of what did not."""
    click.echo(f"{len(report.matched)} tensors match")
    print_listed(report.replaced, "new, as the recipe asks:")
    print_listed(report.missing, "missing in the file:")
    print_listed(report.unexpected, "unknown to the network:")
    shapes = [f"{m.name} is {m.found}, expected {m.expected}" for m in report.mismatched]
    print_listed(shapes, "of another shape:")


def _text(value: object) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return "" if value is None else str(value)
