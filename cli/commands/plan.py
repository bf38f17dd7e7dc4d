"""``featkd plan``."""

import click

from featkd.cli.options import example, json_option, recipe_options


@click.command(epilog=example("featkd plan demo --rows 8"))
@recipe_options
@click.option(
    "--rows",
    "num_rows",
    metavar="N",
    type=click.IntRange(min=1),
    default=16,
    show_default=True,
    help="Views to try, at most one a video.",
)
@json_option
def plan(*, recipe_source: str, overrides: tuple[str, ...], num_rows: int, as_json: bool) -> None:
    """Say what extraction will cost.

    Extracts a few views into a passing cache and says how many bytes and hours the whole will take,
    what limits it, what number formats cost, and after how many students the cache pays for itself.
    Reads <workdir>/teacher and videos of the training split; leaves nothing behind.
    """
    from featkd.cli.plan_tables import print_plan
    from featkd.experiment.open_workspace import open_workspace
    from featkd.extract.plan import plan as run_plan
    from featkd.recipes import load_any_recipe

    print_plan(
        run_plan(open_workspace(load_any_recipe(recipe_source, overrides)), num_rows=num_rows),
        as_json=as_json,
    )
