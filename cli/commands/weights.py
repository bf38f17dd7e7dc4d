"""``featkd weights``."""

from pathlib import Path

import click

from featkd.cli.options import any_path, example, json_option, set_option


@click.command(epilog=example("featkd weights rgb_imagenet.pt --recipe mine.yaml"))
@click.argument("path", metavar="FILE", type=any_path)
@click.option(
    "--recipe",
    "recipe_source",
    metavar="RECIPE",
    help="Compare the weights with a network of this recipe.",
)
@click.option(
    "--network",
    type=click.Choice(["teacher", "student"]),
    default="teacher",
    show_default=True,
    help="Which network of the recipe.",
)
@set_option
@json_option
def weights(
    *,
    path: Path,
    recipe_source: str | None,
    network: str,
    overrides: tuple[str, ...],
    as_json: bool,
) -> None:
    """Show what a file of weights holds.

    FILE is a state dictionary (.pt, .pth, .safetensors), a network that featkd saved, or the local
    folder of a Hugging Face model. Nothing in it is executed. With --recipe every tensor that does
    not fit the network is named, and the exit status is 1 where there is one. Writes nothing.
    """
    from featkd.cli.tables import print_json
    from featkd.cli.weights_tables import print_match, print_weights
    from featkd.experiment.weights_check import compare_with_recipe, inspect_weights
    from featkd.recipes import load_recipe

    found = inspect_weights(path)
    report = None
    if recipe_source is not None:
        report = compare_with_recipe(path, load_recipe(recipe_source, overrides), network)
    if as_json:
        print_json({**found, "match": None if report is None else report.to_json()})
    else:
        print_weights(found)
        if report is not None:
            print_match(report)
    if report is not None and not report.fits:
        click.get_current_context().exit(1)
