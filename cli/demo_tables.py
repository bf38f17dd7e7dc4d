"""Shows what a demo measured: every figure of its summary."""

from collections.abc import Mapping
from typing import Any

import click

from featkd.cli.comparison_table import print_comparison
from featkd.cli.demo_stages import DemoOutcome
from featkd.cli.figures import duration, percent, size
from featkd.cli.tables import print_json, print_table


def print_demo(outcome: DemoOutcome, *, as_json: bool) -> None:
    """Seconds, bytes, accuracies, the comparison, and where to find them."""
    if as_json:
        print_json(outcome.summary)
        return
    summary: Mapping[str, Any] = outcome.summary
    _print_figures("stage", "time", summary["stages"], duration)
    _print_figures("bytes", "size", summary["bytes"], size)
    _print_figures("accuracy on test videos", "top-1 %", summary["accuracy"], percent)
    click.echo(f"videos that could not serve: {summary['failed_videos']}")
    for group in ("machine", "versions"):
        facts = ", ".join(f"{name} {value}" for name, value in summary[group].items())
        click.echo(f"{group}: {facts}")
    click.echo()
    print_comparison(outcome.comparison)
    click.echo(f"summary: {outcome.summary_path}")
    click.echo(f"report:  {outcome.report_path}")
    click.echo(f"total time of all stages: {duration(summary['total_seconds'])}")


def _print_figures(
    what: str,
    heading: str,
    figures: Mapping[str, Any],
    write: Any,
) -> None:
    rows = [[name.replace("_", " "), write(value)] for name, value in figures.items()]
    print_table([what, heading], rows, numeric=[heading])
