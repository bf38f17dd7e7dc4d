"""What ``featkd evaluate`` measures of networks: alone, or several averaged."""

from collections.abc import Sequence
from pathlib import Path

from featkd.cli.accuracy_tables import print_accuracies, print_fusion
from featkd.cli.progress import show_progress
from featkd.errors import UsageError
from featkd.evaluation import ScoreKind, find_runs
from featkd.experiment import (
    Stream,
    Workspace,
    as_filmed,
    evaluate,
    evaluate_fused,
    evaluate_run,
    middle_frame_repeated,
)
from featkd.recipes import load_recipe


def measure_networks(
    recipe_source: str,
    overrides: Sequence[str],
    runs: Sequence[Path],
    *,
    split: str | None,
    still: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Measure runs, by default all that a recipe's work folder has finished, and print them.

    On the recipe's test split every run keeps what was measured, unless one frame was repeated.

    Raises:
        FeatkdError: there is no run, or one cannot be measured.
    """
    workspace = Workspace(load_recipe(recipe_source, overrides))
    folders = list(runs) or [
        run.folder
        for run in find_runs(workspace.folder)
        if run.kind != "representation" and run.summary is not None
    ]
    if not folders:
        raise UsageError(f"{workspace.folder} holds no finished run; expected at least one")
    test_split = workspace.recipe.data.test_split
    split = split or test_split
    show = middle_frame_repeated if still else as_filmed
    with show_progress(quiet=quiet) as progress:
        accuracies = {
            str(folder): evaluate_run(workspace, folder, progress=progress)
            if split == test_split and not still
            else evaluate(
                workspace, folder / "model.safetensors", split, show=show, progress=progress
            )
            for folder in folders
        }
    views = workspace.recipe.views.evaluate
    print_accuracies(accuracies, views, split=split, still=still, as_json=as_json)


def measure_fused(
    runs: Sequence[tuple[str, Path]],
    overrides: Sequence[str],
    *,
    weights: Sequence[float],
    kind: ScoreKind,
    split: str | None,
    still: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Measure several runs, each of a recipe, alone and averaged, and print them.

    Args:
        runs: recipe and folder of each.
        overrides: of every recipe.
        weights: of each run.
        kind: what is averaged.
        split: to measure on; None: the test split of the first recipe.
        still: whether one frame is repeated.
        as_json: whether to print JSON.
        quiet: whether to show no progress.

    Raises:
        FeatkdError: a run cannot be measured, or they do not fit together.
    """
    workspaces = [Workspace(load_recipe(source, overrides)) for source, _ in runs]
    folders = [folder for _, folder in runs]
    streams = [Stream(*part) for part in zip(workspaces, folders, weights, strict=True)]
    split = split or workspaces[0].recipe.data.test_split
    show = middle_frame_repeated if still else as_filmed
    with show_progress(quiet=quiet) as progress:
        fusion = evaluate_fused(streams, split, kind=kind, show=show, progress=progress)
    print_fusion(fusion, streams, kind, split=split, still=still, as_json=as_json)
