"""Arguments and options that several commands on manifests share."""

from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec, TypeVar

import click

from featkd.cli.options import any_path

P = ParamSpec("P")
R = TypeVar("R")

manifest_argument = click.argument("path", metavar="M", type=any_path)

root_option = click.option(
    "--root",
    type=any_path,
    help="Folder that the manifest's paths start from.  [default: the manifest's own folder]",
)

seed_option = click.option(
    "--seed", type=int, default=0, show_default=True, help="Another seed draws other rows."
)

workers_option = click.option(
    "--workers",
    metavar="N",
    type=click.IntRange(min=1),
    default=4,
    show_default=True,
    help="Reading threads.",
)


def output_option(meaning: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """``--output``, which names a manifest to write."""
    return click.option(
        "--output",
        "-o",
        metavar="OUT",
        type=any_path,
        required=True,
        callback=check_output,
        help=f"{meaning}, .csv or .parquet; a file that is there is replaced.",
    )


def check_output(_: click.Context, param: click.Parameter, value: Path) -> Path:
    """Callback: refuse now what would fail after the work."""
    if value.suffix.casefold() not in (".csv", ".parquet"):
        raise click.BadParameter(f"{value} ends in neither .csv nor .parquet", param=param)
    if not value.parent.is_dir():
        raise click.BadParameter(f"folder {value.parent} does not exist", param=param)
    return value


def read_shares(
    _: click.Context, param: click.Parameter, values: tuple[str, ...]
) -> dict[str, float]:
    """Callback of an option that takes NAME=FRACTION several times."""
    shares: dict[str, float] = {}
    for text in values:
        name, _sign, fraction = text.rpartition("=")
        if name in shares:
            raise click.BadParameter(f"split {name!r} is named twice", param=param)
        try:
            shares[name] = float(fraction)
        except ValueError as error:
            message = f"{text!r}; expected NAME=FRACTION, such as train=0.8"
            raise click.BadParameter(message, param=param) from error
    return shares
