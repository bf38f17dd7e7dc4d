"""Shows accuracies: of runs one by one, and of several fused."""

from collections.abc import Mapping, Sequence

import click

from featkd.cli.figures import percent, plural
from featkd.cli.tables import print_json, print_table
from featkd.evaluation import Accuracy, ScoreKind
from featkd.experiment import FusedAccuracy, Stream
from featkd.video import EvaluationViews

_COLUMNS = ["videos", "top-1", "top-5", "mean class"]


def print_accuracies(
    accuracies: Mapping[str, Accuracy],
    views: EvaluationViews,
    *,
    split: str,
    still: bool,
    as_json: bool,
) -> None:
    """A table with a row for each run; or JSON."""
    if as_json:
        measured = {run: accuracy.to_json() for run, accuracy in accuracies.items()}
        print_json(
            {
                "split": split,
                "one_frame_repeated": still,
                "views": views.model_dump(mode="json"),
                "runs": measured,
            }
        )
        return
    click.echo(_heading(views, split=split, still=still))
    print_table(
        ["run", *_COLUMNS],
        [[run, *_cells(accuracy)] for run, accuracy in accuracies.items()],
        numeric=_COLUMNS,
    )


def print_fusion(
    fusion: FusedAccuracy,
    streams: Sequence[Stream],
    kind: ScoreKind,
    *,
    split: str,
    still: bool,
    as_json: bool,
) -> None:
    """A table with a row for each stream and one for all together; or JSON."""
    rows = list(zip(streams, fusion.streams, strict=True))
    if as_json:
        print_json(
            {
                "split": split,
                "one_frame_repeated": still,
                "scores": kind,
                "streams": [
                    {
                        "run": str(stream.folder),
                        "weight": stream.weight,
                        "views": stream.workspace.recipe.views.evaluate.model_dump(mode="json"),
                        **accuracy.to_json(),
                    }
                    for stream, accuracy in rows
                ],
                "fused": fusion.fused.to_json(),
            }
        )
        return
    click.echo(
        _heading(streams[0].workspace.recipe.views.evaluate, split=split, still=still)
        + f"; fused: weighted mean of {kind}"
    )
    print_table(
        ["run", "weight", *_COLUMNS],
        [
            *([str(stream.folder), f"{stream.weight:g}", *_cells(each)] for stream, each in rows),
            ["fused", "", *_cells(fusion.fused)],
        ],
        numeric=["weight", *_COLUMNS],
    )


def _heading(views: EvaluationViews, *, split: str, still: bool) -> str:
    protocol = f"{plural(views.num_clips, 'clip')} x {plural(views.num_crops, 'crop')} a video"
    return f"split {split}{', one frame repeated' if still else ''}; {protocol}; accuracies in %"


def _cells(accuracy: Accuracy) -> list[str]:
    return [
        str(accuracy.num_videos),
        percent(accuracy.top1),
        percent(accuracy.top5),
        percent(accuracy.mean_class_accuracy),
    ]
