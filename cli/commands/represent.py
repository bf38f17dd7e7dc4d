"""``featkd represent``."""

import click

from featkd.cli.options import example, output_options, recipe_options


@click.command(epilog=example("featkd represent demo --set representation.num_epochs=30"))
@recipe_options
@output_options
def represent(
    *, recipe_source: str, overrides: tuple[str, ...], as_json: bool, quiet: bool
) -> None:
    """Learn the teacher's attention from the cache.

    Trains an attention head and a generative model (CVAE) on the cached features; for detection,
    one of each for both maps. Reads <workdir>/cache; the teacher's backbone does not run. Writes
    the attention of every cached view and the trained modules into the cache, and the log into
    <workdir>/representation. Needed by distillers that use the teacher's attention or CVAE, such
    as 'generative'.
    """
    from featkd.cli import stages
    from featkd.cli.progress import show_progress
    from featkd.cli.stage_tables import print_stages
    from featkd.experiment.open_workspace import open_workspace
    from featkd.recipes import load_any_recipe

    workspace = open_workspace(load_any_recipe(recipe_source, overrides))
    with show_progress(quiet=quiet) as progress:
        result = stages.represent(workspace, progress)
    print_stages([result], as_json=as_json)
