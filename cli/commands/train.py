"""``featkd train``."""

import click

from featkd.cli.options import example, output_options, recipe_options


@click.command(epilog=example("featkd train demo --set teacher.training.num_epochs=20"))
@recipe_options
@output_options
def train(*, recipe_source: str, overrides: tuple[str, ...], as_json: bool, quiet: bool) -> None:
    """Train the teacher of a recipe from labels.

    Reads the manifest and its videos (the training split), and for detection the annotated segments
    beside the manifest. Writes <workdir>/teacher: weights
    (model.safetensors), the log of the epochs, the resolved recipe and a summary. A stopped run
    goes on from its last finished epoch. Weights that the recipe names and that need no training
    (teacher.weights) are put there as they are.
    """
    from featkd.cli import stages
    from featkd.cli.progress import show_progress
    from featkd.cli.stage_tables import print_stages
    from featkd.experiment.open_workspace import open_workspace
    from featkd.recipes import load_any_recipe

    workspace = open_workspace(load_any_recipe(recipe_source, overrides))
    with show_progress(quiet=quiet) as progress:
        result = stages.train(workspace, progress)
    print_stages([result], as_json=as_json)
