"""Shows a comparison of methods."""

import click

from featkd.cli.figures import UNKNOWN, duration, gmac, millions, percent, points
from featkd.cli.tables import print_table
from featkd.evaluation import Comparison, Group

_NUMERIC = (
    "seeds",
    "top-1 %",
    "lowest-highest",
    "against none",
    "took off",
    "top-5 %",
    "GMAC",
    "parameters (M)",
    "training",
)


def print_comparison(comparison: Comparison) -> None:
    """A row for each method and model, below a line that says what was measured."""
    if comparison.chance is None:
        click.echo("Nothing is evaluated yet; run: featkd evaluate")
    else:
        click.echo(
            f"split {comparison.split}: {comparison.num_videos} videos of "
            f"{comparison.num_classes} classes; guessing gets {percent(comparison.chance)} %"
        )
    print_table(
        ["method", "model", *_NUMERIC],
        [_row(group) for group in comparison.groups],
        numeric=_NUMERIC,
    )
    unfinished = [folder for group in comparison.groups for folder in group.unfinished]
    for folder in unfinished:
        click.echo(f"not finished or not evaluated: {folder}")


def _row(group: Group) -> list[str]:
    deviation = "" if group.deviation is None else f" ± {percent(group.deviation)}"
    took_off = UNKNOWN if group.took_off is None else f"{group.took_off} of {len(group.results)}"
    return [
        group.name,
        group.model or UNKNOWN,
        str(len(group.results)),
        f"{percent(group.mean)}{deviation}",
        f"{percent(group.lowest)}-{percent(group.highest)}" if group.results else UNKNOWN,
        points(group.difference.mean) if group.difference else UNKNOWN,
        took_off,
        percent(group.mean_top5),
        gmac(group.gmac),
        millions(group.parameters),
        UNKNOWN if group.seconds is None else duration(group.seconds),
    ]
