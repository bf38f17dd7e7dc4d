"""Shows what stages left behind."""

from collections.abc import Sequence

import click

from featkd.cli.codec_columns import CODEC_COLUMNS, codec_cells
from featkd.cli.figures import duration, plural, size
from featkd.cli.stages import StageResult
from featkd.cli.tables import print_json, print_listed, print_table


def print_stages(results: Sequence[StageResult], *, as_json: bool) -> None:
    """A table with a row for each stage, then its figures and its failures; or JSON."""
    if as_json:
        print_json({"stages": [result.to_json() for result in results]})
        return
    print_table(
        ["stage", "written to", "time", "size"],
        [
            [
                result.stage,
                str(result.written),
                duration(result.seconds) if result.worked else "was finished already",
                size(result.num_bytes),
            ]
            for result in results
        ],
        numeric=["time", "size"],
    )
    for result in results:
        for name, value in result.facts.items():
            heading = name.removeprefix("num_").replace("_", " ")
            click.echo(f"{heading}: {_text(name, value)}")
        _print_codec_errors(result)
        print_listed(
            [f"{video_id}: {reason}" for video_id, reason in result.failures.items()],
            f"{plural(len(result.failures), 'video')} could not serve:",
        )


def _print_codec_errors(result: StageResult) -> None:
    if result.codec_errors:
        click.echo("\nwhat lossy number formats did to the teacher's answers:")
        print_table(
            ["array", *CODEC_COLUMNS],
            [[name, *codec_cells(error)] for name, error in result.codec_errors.items()],
            numeric=CODEC_COLUMNS,
        )


def _text(name: str, value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {duration(seconds)}" for key, seconds in value.items())
    if isinstance(value, list):
        return "; ".join(map(str, value))
    if name.startswith("bytes") and isinstance(value, int):
        return size(value)
    return str(value)
