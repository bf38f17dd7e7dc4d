"""Shows a comparison of methods."""

import click

from featkd.cli.figures import UNKNOWN, duration, gmac, millions, percent, points
from featkd.cli.tables import print_table
from featkd.evaluation import Comparison, DetectorComparison, DetectorGroup, Group

_WORDS = ("method", "model")
_SPREAD = ("range", "took off")
_COLUMNS = (
    "method",
    "model",
    "seeds",
    "top-1 %",
    "range",
    "vs none",
    "took off",
    "GMAC",
    "params M",
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
    rows = [_row(group) for group in comparison.groups]
    columns = list(_COLUMNS)
    if all(len(group.results) < 2 for group in comparison.groups):
        # One seed has no spread; without these columns the table fits a narrow terminal.
        columns = [column for column in columns if column not in _SPREAD]
    print_table(
        columns,
        [[row[column] for column in columns] for row in rows],
        numeric=[column for column in columns if column not in _WORDS],
    )
    for group in comparison.groups:
        for folder in group.unfinished:
            click.echo(f"not finished or not evaluated: {folder}")


def print_detector_comparison(comparison: DetectorComparison) -> None:
    """A row for each method and model of detectors, below a line that says what was measured."""
    click.echo(
        f"split {comparison.split}: {comparison.num_videos} videos, {comparison.num_segments} "
        "segments; mAP in % by threshold of tIoU"
    )
    limits = list(comparison.thresholds)
    last = ["average", "vs none", "GMAC", "params M", "training"]
    print_table(
        ["method", "model", "seeds", *limits, *last],
        [_detector_row(group, len(limits)) for group in comparison.groups],
        numeric=["seeds", *limits, *last],
    )
    for group in comparison.groups:
        for folder in group.unfinished:
            click.echo(f"not finished or not evaluated: {folder}")


def _detector_row(group: DetectorGroup, num_thresholds: int) -> list[str]:
    deviation = "" if group.deviation is None else f" ± {percent(group.deviation)}"
    return [
        group.name,
        group.model or UNKNOWN,
        str(len(group.results)),
        *(map(percent, group.by_threshold) if group.results else [UNKNOWN] * num_thresholds),
        f"{percent(group.average)}{deviation}",
        points(group.difference.mean) if group.difference else UNKNOWN,
        gmac(group.gmac),
        millions(group.parameters),
        UNKNOWN if group.seconds is None else duration(group.seconds),
    ]


def _row(group: Group) -> dict[str, str]:
    deviation = "" if group.deviation is None else f" ± {percent(group.deviation)}"
    num_seeds = len(group.results)
    cells = (
        group.name,
        group.model or UNKNOWN,
        str(num_seeds),
        f"{percent(group.mean)}{deviation}",
        f"{percent(group.lowest)}-{percent(group.highest)}" if group.results else UNKNOWN,
        points(group.difference.mean) if group.difference else UNKNOWN,
        UNKNOWN if group.took_off is None else f"{group.took_off} of {num_seeds}",
        gmac(group.gmac),
        millions(group.parameters),
        UNKNOWN if group.seconds is None else duration(group.seconds),
    )
    return dict(zip(_COLUMNS, cells, strict=True))
