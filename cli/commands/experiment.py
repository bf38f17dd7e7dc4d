"""``featkd experiment``."""

from typing import Literal

import click

from featkd.cli.options import example, output_options, read_seeds, set_option


@click.command(epilog=example("featkd experiment table1 --scale mini --seeds 0,1,2"))
@click.argument("table_name", metavar="TABLE", required=False)
@click.option(
    "--scale",
    type=click.Choice(["full", "mini"]),
    default="mini",
    show_default=True,
    help="The paper's settings on its datasets, or a miniature that a CPU can run.",
)
@click.option(
    "--recipe",
    "recipe_sources",
    metavar="RECIPE",
    multiple=True,
    help="Data, teacher and student to make the table with, instead of those of --scale. May be "
    "given several times; each gives a table.",
)
@click.option(
    "--row",
    "row_names",
    metavar="NAME",
    multiple=True,
    help="Only this row and its baseline. May be given several times.",
)
@click.option(
    "--seeds",
    callback=read_seeds,
    default="0,1,2,3,4",
    show_default=True,
    help="Seeds of the students, separated by commas.",
)
@click.option(
    "--weights",
    type=click.Choice(["searched", "paper"]),
    help="Each method's weight: searched on the validation split, or as its paper has it.  "
    "[default: searched, and paper with --scale full]",
)
@click.option(
    "--search-seeds",
    callback=read_seeds,
    default="0",
    show_default=True,
    help="Seeds of the search.",
)
@click.option(
    "--processes",
    "num_processes",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Students that are trained at once.",
)
@set_option
@output_options
def experiment(
    *,
    table_name: str | None,
    scale: str,
    recipe_sources: tuple[str, ...],
    row_names: tuple[str, ...],
    seeds: tuple[int, ...],
    weights: Literal["searched", "paper"] | None,
    search_seeds: tuple[int, ...],
    num_processes: int,
    overrides: tuple[str, ...],
    as_json: bool,
    quiet: bool,
) -> None:
    """Make one of the paper's tables.

    Without TABLE, lists them. Trains teacher, cache and representation where they are
    missing, chooses each method's weight on the validation split (the same number of values for
    every method), trains every row with every seed, and measures on the test split. Stopped, it
    goes on where it was. Writes <workdir>/<table>.json beside the run folders, and <table>.html,
    with pictures.
    """
    from featkd.cli.experiment_stages import make_tables
    from featkd.cli.experiment_tables import list_tables, print_made_table
    from featkd.cli.progress import show_progress
    from featkd.cli.tables import print_json
    from featkd.recipes import load_any_recipe
    from featkd.recipes.table import load_table, shipped_tables

    if table_name is None:
        list_tables(shipped_tables(), as_json=as_json)
        return
    table = load_table(table_name)
    if weights is None:
        weights = "paper" if scale == "full" and not recipe_sources else "searched"
    recipes = [
        load_any_recipe(source, overrides)
        for source in recipe_sources or (table.full if scale == "full" else table.mini)
    ]
    with show_progress(quiet=quiet) as progress:
        made = make_tables(
            table,
            recipes,
            row_names,
            seeds,
            search_seeds=search_seeds if weights == "searched" else (),
            num_processes=num_processes,
            progress=progress,
        )
    if as_json:
        print_json([item.to_json() for item in made])
    else:
        for item in made:
            print_made_table(item)
