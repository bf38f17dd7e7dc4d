"""Arguments and options that several commands share."""

from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec, TypeVar

import click

P = ParamSpec("P")
R = TypeVar("R")

# Nothing is checked here: the library's messages say more than click's.
any_path = click.Path(path_type=Path)


def example(command_line: str) -> str:
    """The last lines of a help text: a command line that stays on one line."""
    return f"\b\nExample:\n  {command_line}"


recipe_argument = click.argument("recipe_source", metavar="RECIPE")

cache_argument = click.argument("path", metavar="CACHE", type=any_path)

set_option = click.option(
    "--set",
    "overrides",
    metavar="KEY=VALUE",
    multiple=True,
    help="Change a value of the recipe, with dots between levels: student.model.width=0.5. "
    "May be given several times.",
)

json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print JSON on stdout instead of a table."
)

quiet_option = click.option(
    "--quiet", "-q", is_flag=True, help="Show no progress; results are still printed."
)


def recipe_options(command: Callable[P, R]) -> Callable[P, R]:
    """RECIPE and ``--set``."""
    return recipe_argument(set_option(command))


def output_options(command: Callable[P, R]) -> Callable[P, R]:
    """``--json`` and ``--quiet``."""
    return json_option(quiet_option(command))


def read_seeds(_context: click.Context, _option: click.Parameter, value: str) -> tuple[int, ...]:
    """Callback of an option that takes seeds separated by commas; each counts once."""
    try:
        seeds = tuple(dict.fromkeys(int(seed) for seed in value.split(",")))
    except ValueError as error:
        raise click.BadParameter(f"{value!r}; expected numbers such as 0,1,2") from error
    if min(seeds) < 0:
        raise click.BadParameter(f"{value!r}; expected seeds of at least 0")
    return seeds
