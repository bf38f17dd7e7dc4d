"""``featkd synthesize``."""

import click

from featkd.cli.options import example, output_options, recipe_options


@click.command(epilog=example("featkd synthesize demo --set synthetic.seed=1"))
@recipe_options
@output_options
def synthesize(
    *, recipe_source: str, overrides: tuple[str, ...], as_json: bool, quiet: bool
) -> None:
    """Generate the synthetic videos of a recipe.

    Reads the recipe's section 'synthetic'. Writes encoded videos and manifest.csv into the folder
    of 'data.manifest', with the annotated segments where the recipe is for detection. Videos that
    are there already are kept, so a stopped run goes on.
    """
    from featkd.cli import stages
    from featkd.cli.progress import show_progress
    from featkd.cli.stage_tables import print_stages
    from featkd.experiment.open_workspace import open_workspace
    from featkd.recipes import load_any_recipe

    workspace = open_workspace(load_any_recipe(recipe_source, overrides))
    with show_progress(quiet=quiet) as progress:
        result = stages.synthesize(workspace, progress)
    print_stages([result], as_json=as_json)
