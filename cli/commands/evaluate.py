"""``featkd evaluate``."""

from pathlib import Path

import click

from featkd.cli.options import any_path, example, output_options, recipe_options


def _read_weights(
    _context: click.Context, _option: click.Parameter, value: str | None
) -> tuple[float, ...] | None:
    """Callback of ``--weights``: numbers separated by commas."""
    try:
        return None if value is None else tuple(float(weight) for weight in value.split(","))
    except ValueError as error:
        raise click.BadParameter(f"{value!r}; expected numbers such as 1,1.5") from error


@click.command(epilog=example("featkd evaluate demo runs/demo/teacher --still"))
@recipe_options
@click.argument("runs", metavar="[RUN]...", nargs=-1, type=any_path)
@click.option("--split", metavar="NAME", help="Split to measure on.  [default: data.test_split]")
@click.option(
    "--still",
    is_flag=True,
    help="Show the network each clip's middle frame, repeated: what it then still recognises, it "
    "did not recognise by motion.",
)
@click.option(
    "--fuse",
    "others",
    metavar="RECIPE RUN",
    nargs=2,
    type=(str, any_path),
    multiple=True,
    help="Average the one RUN with this run of another recipe, for example colours with flow. May "
    "be given several times; --set changes every recipe.",
)
@click.option(
    "--weights",
    metavar="W,W",
    callback=_read_weights,
    help="Weights of RUN and of each --fuse, such as 1,1.5.  [default: equal]",
)
@click.option(
    "--scores",
    type=click.Choice(["probabilities", "logits"]),
    help="What is averaged where runs are fused.  [default: probabilities]",
)
@output_options
def evaluate(
    *,
    recipe_source: str,
    overrides: tuple[str, ...],
    runs: tuple[Path, ...],
    split: str | None,
    still: bool,
    others: tuple[tuple[str, Path], ...],
    weights: tuple[float, ...] | None,
    scores: str | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Measure trained networks on videos they were not trained on.

    RUN is a run folder; without one, every finished run of the recipe's workdir is measured. Reads
    its model.safetensors and the videos of the split. On the test split, writes evaluation.json
    into the run folder, where 'compare' and 'report' look for it; with --still, --fuse or another
    split, only prints.
    """
    if others and len(runs) != 1:
        raise click.UsageError(f"--fuse averages one RUN with others; {len(runs)} are given")
    if not others and (weights or scores):
        raise click.UsageError("--weights and --scores belong to --fuse, which is not given")
    if weights and len(weights) != 1 + len(others):
        raise click.UsageError(
            f"--weights gives {len(weights)} numbers; expected {1 + len(others)}, one for RUN and "
            "one for each --fuse"
        )
    from featkd.cli.accuracy_tables import print_accuracies, print_fusion
    from featkd.cli.progress import show_progress
    from featkd.errors import UsageError
    from featkd.evaluation import ScoreKind, find_runs
    from featkd.experiment import (
        Stream,
        Workspace,
        as_filmed,
        evaluate_fused,
        middle_frame_repeated,
    )
    from featkd.experiment import evaluate as measure
    from featkd.experiment import evaluate_run as measure_and_write
    from featkd.recipes import load_recipe

    workspace = Workspace(load_recipe(recipe_source, overrides))
    test_split = workspace.recipe.data.test_split
    split = split or test_split
    show = middle_frame_repeated if still else as_filmed
    if others:
        workspaces = [workspace, *(Workspace(load_recipe(it, overrides)) for it, _ in others)]
        folders = [runs[0], *(run for _, run in others)]
        parts = zip(workspaces, folders, weights or (1.0,) * len(folders), strict=True)
        streams = [Stream(*part) for part in parts]
        kind: ScoreKind = "logits" if scores == "logits" else "probabilities"
        with show_progress(quiet=quiet) as progress:
            fusion = evaluate_fused(streams, split, kind=kind, show=show, progress=progress)
        print_fusion(fusion, streams, kind, split=split, still=still, as_json=as_json)
        return
    folders = list(runs) or [
        run.folder
        for run in find_runs(workspace.folder)
        if run.kind != "representation" and run.summary is not None
    ]
    if not folders:
        raise UsageError(f"{workspace.folder} holds no finished run; expected at least one")
    with show_progress(quiet=quiet) as progress:
        accuracies = {
            str(folder): measure_and_write(workspace, folder, progress=progress)
            if split == test_split and not still
            else measure(
                workspace, folder / "model.safetensors", split, show=show, progress=progress
            )
            for folder in folders
        }
    views = workspace.recipe.views.evaluate
    print_accuracies(accuracies, views, split=split, still=still, as_json=as_json)
