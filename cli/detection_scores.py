"""Scores any file of predictions against any ground truth, and shows scores."""

from pathlib import Path

import click

from featkd.cli.figures import percent, plural
from featkd.cli.tables import print_json, print_table
from featkd.detection.ground_truth import read_ground_truth
from featkd.detection.mean_average_precision import (
    TIOU_THRESHOLDS,
    MeanAveragePrecision,
    measure_mean_average_precision,
)
from featkd.detection.predictions import read_predictions

NUM_TIMELINES = 12
MAX_CLASSES = 32


def score_detections(
    predictions_path: Path,
    truth_path: Path,
    *,
    subset: str | None,
    thresholds: tuple[float, ...],
    timelines: Path | None,
    videos: tuple[str, ...],
    as_json: bool,
) -> None:
    """Print mAP, and draw timelines if a file is named for them.

    Args:
        predictions_path: file of predictions.
        truth_path: file of the ground truth.
        subset: which of its subsets; None for its only one, or ``test``.
        thresholds: of tIoU; none means those of the paper.
        timelines: where to draw videos, if anywhere.
        videos: which; none means the first few of the subset.
        as_json: whether to print JSON.
    """
    truth = read_ground_truth(truth_path, subset)
    predictions = read_predictions(predictions_path)
    scores = measure_mean_average_precision(predictions, truth, thresholds or TIOU_THRESHOLDS)
    if timelines is not None:
        from featkd.evaluation.timelines import write_timelines

        drawn = videos or truth.videos[:NUM_TIMELINES]
        write_timelines(timelines, truth, predictions, drawn, max(scores.thresholds))
    if as_json:
        written = {} if timelines is None else {"timelines": timelines}
        print_json(scores.to_json() | written)
        return
    print_scores(scores)
    if timelines is not None:
        click.echo(f"timelines written to {timelines}")


def print_scores(scores: MeanAveragePrecision) -> None:
    """What was scored, and a table of the classes by threshold."""
    classes = scores.average_precision
    click.echo(
        f"subset {scores.subset}: {scores.num_videos:,} videos, {scores.num_segments:,} segments "
        f"of {len(classes)} classes; {scores.num_predictions:,} predictions scored"
    )
    for number, reason in (
        (scores.num_in_unknown_videos, "in videos that are not in the subset"),
        (scores.num_of_unknown_classes, "of classes that do not occur in the subset"),
    ):
        if number:
            click.echo(f"left out: {plural(number, 'predictions')} {reason}")
    click.echo("average precision in % by threshold of tIoU")
    limits = [f"{threshold:g}" for threshold in scores.thresholds]
    rows = [["mean of classes", *map(percent, scores.by_threshold), percent(scores.average)]]
    if len(classes) <= MAX_CLASSES:
        rows += [
            [name, *map(percent, values), percent(sum(values) / len(values))]
            for name, values in classes.items()
        ]
    print_table(["class", *limits, "average"], rows, numeric=[*limits, "average"])
    if len(classes) > MAX_CLASSES:
        click.echo(f"--json lists the {len(classes)} classes")
