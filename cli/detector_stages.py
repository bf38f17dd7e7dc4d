"""What ``featkd evaluate`` measures of runs of a recipe for detection."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from featkd.cli.detection_scores import NUM_TIMELINES, print_scores
from featkd.cli.figures import percent
from featkd.cli.progress import show_progress
from featkd.cli.tables import print_json, print_table
from featkd.detection.mean_average_precision import (
    TIOU_THRESHOLDS,
    MeanAveragePrecision,
    measure_mean_average_precision,
)
from featkd.errors import UsageError
from featkd.evaluation import find_runs
from featkd.evaluation.timelines import write_timelines
from featkd.experiment.detection.evaluate import (
    DetectionRun,
    SplitDetections,
    detect_in_split,
    record_evaluation,
)
from featkd.experiment.detection.workspace import DetectionWorkspace
from featkd.recipes import DetectionRecipe, load_any_recipe


def measure_detectors(
    recipe: DetectionRecipe,
    overrides: Sequence[str],
    folders: Sequence[Path],
    *,
    fused: Sequence[tuple[str, Path]],
    split: str | None,
    thresholds: tuple[float, ...],
    timelines: Path | None,
    videos: Sequence[str],
    as_json: bool,
    quiet: bool,
) -> None:
    """Measure runs, by default all that a recipe's work folder has finished, and print their mAP.

    On the recipe's test split every run keeps what was found, unless runs are fused.

    Args:
        recipe: of the runs.
        overrides: of the recipes of ``fused``; those of ``recipe`` are in it.
        folders: of the runs.
        fused: recipe and folder of each run that the only one is fused with.
        split: to measure on; None: the recipe's test split.
        thresholds: of tIoU; none means those of the paper.
        timelines: where to draw videos, if anywhere.
        videos: which; none means the first few of the split.
        as_json: whether to print JSON.
        quiet: whether to show no progress.

    Raises:
        FeatkdError: there is no run, or one cannot be measured.
    """
    workspace = DetectionWorkspace(recipe)
    chosen = list(folders) or [
        run.folder
        for run in find_runs(workspace.folder)
        if run.kind != "representation" and run.summary is not None
    ]
    if not chosen:
        raise UsageError(f"{workspace.folder} holds no finished run; expected at least one")
    if (fused or timelines) and len(chosen) != 1:
        option = "--fuse" if fused else "--timelines"
        raise UsageError(f"{option} is for one RUN; there are {len(chosen)}")
    test_split = recipe.data.test_split
    split = split or test_split
    others = [
        DetectionRun(DetectionWorkspace(_detection_recipe(source, overrides)), folder)
        for source, folder in fused
    ]
    scores: dict[str, MeanAveragePrecision] = {}
    with show_progress(quiet=quiet) as progress:
        for folder in chosen:
            runs = [DetectionRun(workspace, folder), *others]
            found = detect_in_split(runs, split, progress=progress)
            if split == test_split and not others:
                record_evaluation(workspace, folder, found)
            measured = measure_mean_average_precision(
                found.predictions, found.truth, thresholds or TIOU_THRESHOLDS
            )
            scores[" + ".join(str(run.folder) for run in runs)] = measured
            if timelines is not None:
                _draw(timelines, found, videos, max(measured.thresholds))
    _print(scores, split, timelines, as_json=as_json)


def _detection_recipe(source: str, overrides: Sequence[str]) -> DetectionRecipe:
    recipe = load_any_recipe(source, overrides)
    if not isinstance(recipe, DetectionRecipe):
        raise UsageError(
            f"--fuse {source}: task is {recipe.task!r}; expected a recipe for detection"
        )
    return recipe


def _draw(path: Path, found: SplitDetections, videos: Sequence[str], threshold: float) -> None:
    drawn = videos or found.truth.videos[:NUM_TIMELINES]
    write_timelines(path, found.truth, found.predictions, drawn, threshold, found.attention)


def _print(
    scores: Mapping[str, MeanAveragePrecision],
    split: str,
    timelines: Path | None,
    *,
    as_json: bool,
) -> None:
    """One run class by class, several a row each; or JSON."""
    if as_json:
        written = {} if timelines is None else {"timelines": timelines}
        runs = {run: measured.to_json() for run, measured in scores.items()}
        print_json({"split": split, "runs": runs} | written)
        return
    if len(scores) == 1:
        [(run, measured)] = scores.items()
        click.echo(run)
        print_scores(measured)
    else:
        _print_runs(scores, split)
    if timelines is not None:
        click.echo(f"timelines written to {timelines}")


def _print_runs(scores: Mapping[str, MeanAveragePrecision], split: str) -> None:
    first = next(iter(scores.values()))
    click.echo(
        f"split {split}: {first.num_videos:,} videos, {first.num_segments:,} segments; mAP in % by "
        "threshold of tIoU"
    )
    limits = [f"{threshold:g}" for threshold in first.thresholds]
    print_table(
        ["run", *limits, "average"],
        [
            [run, *map(percent, measured.by_threshold), percent(measured.average)]
            for run, measured in scores.items()
        ],
        numeric=[*limits, "average"],
    )
