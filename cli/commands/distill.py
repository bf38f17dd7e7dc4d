"""``featkd distill``."""

from typing import Literal

import click

from featkd.cli.options import example, output_options, recipe_options


@click.command(
    epilog=example("featkd distill demo --distiller kd --distiller generative --seed 0 --seed 1")
)
@recipe_options
@click.option(
    "--distiller",
    "names",
    metavar="NAME",
    multiple=True,
    help="A name from the recipe's section 'distillers'. May be given several times.",
)
@click.option("--all", "every", is_flag=True, help="Every distiller of the recipe.")
@click.option(
    "--seed",
    "seeds",
    metavar="N",
    type=click.IntRange(min=0),
    multiple=True,
    default=[0],
    help="Seed of a student; one student is trained for each. May be given several times.  "
    "[default: 0]",
)
@click.option(
    "--signal",
    type=click.Choice(["cached", "live"]),
    default="cached",
    show_default=True,
    help="Where the teacher's answers come from: the cache, or the teacher run beside the student.",
)
@click.option(
    "--allow-mismatch",
    "allowed",
    metavar="FIELD",
    multiple=True,
    help="Train although this field of the cache's fingerprint differs from the recipe; recorded "
    "in the run's summary.json. May be given several times.",
)
@click.option(
    "--committed-only",
    is_flag=True,
    help="Train on the videos that are cached by now, while extraction goes on.",
)
@output_options
def distill(
    *,
    recipe_source: str,
    overrides: tuple[str, ...],
    names: tuple[str, ...],
    every: bool,
    seeds: tuple[int, ...],
    signal: Literal["cached", "live"],
    allowed: tuple[str, ...],
    committed_only: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Train students with the cached answers of the teacher.

    Reads <workdir>/cache and the videos of the training split. Writes one folder for each
    distiller and seed, <workdir>/students/<name>-seed<k>. Stopped students go on from their last
    finished epoch; finished ones are not trained again.
    """
    if bool(names) == every:
        raise click.UsageError("Name distillers with --distiller NAME, or use --all for every one.")
    from featkd.cli import stages
    from featkd.cli.progress import show_progress
    from featkd.cli.stage_tables import print_stages
    from featkd.experiment.needs import distiller_requirements
    from featkd.experiment.open_workspace import open_workspace
    from featkd.recipes import load_any_recipe

    workspace = open_workspace(load_any_recipe(recipe_source, overrides))
    chosen = tuple(workspace.recipe.distillers) if every else tuple(dict.fromkeys(names))
    for name in chosen:
        # An unknown name shall not wait for the students before it.
        distiller_requirements(workspace.recipe, name)
    with show_progress(quiet=quiet) as progress:
        results = [
            stages.distill(
                workspace,
                name,
                seed,
                signal,
                progress,
                allowed=allowed,
                committed_only=committed_only,
            )
            for seed in dict.fromkeys(seeds)
            for name in chosen
        ]
    print_stages(results, as_json=as_json)
