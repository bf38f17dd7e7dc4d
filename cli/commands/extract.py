"""``featkd extract``."""

import click

from featkd.cli.options import example, output_options, recipe_options


@click.command(epilog=example("featkd extract demo --set extract.dtype=float32"))
@recipe_options
@output_options
def extract(*, recipe_source: str, overrides: tuple[str, ...], as_json: bool, quiet: bool) -> None:
    """Cache what the teacher says of every view.

    The frozen teacher sees every training view once. Reads <workdir>/teacher and the videos of the
    training split. Writes <workdir>/cache: logits and the feature maps that the recipe's distillers
    need. A part of the cache that is written is never computed again, so a stopped run goes on
    where it was. A video that cannot be decoded is recorded with its reason and listed here.
    """
    from featkd.cli import stages
    from featkd.cli.progress import show_progress
    from featkd.cli.stage_tables import print_stages
    from featkd.experiment.open_workspace import open_workspace
    from featkd.recipes import load_any_recipe

    workspace = open_workspace(load_any_recipe(recipe_source, overrides))
    with show_progress(quiet=quiet) as progress:
        result = stages.extract(workspace, progress)
    print_stages([result], as_json=as_json)
