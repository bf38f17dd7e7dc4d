"""``featkd evaluate``."""

from pathlib import Path
from typing import Literal

import click
from click.core import ParameterSource

from featkd.cli.options import any_path, example, output_options, set_option

Task = Literal["classification", "detection"]

_OPTIONS_OF: dict[Task, dict[str, str]] = {
    "classification": {"runs": "RUN", "overrides": "--set", "still": "--still", "others": "--fuse"},
    "detection": {
        "ground_truth": "--ground-truth",
        "tiou": "--tiou",
        "timelines": "--timelines",
        "videos": "--video",
    },
}


def _read_thresholds(
    _context: click.Context, _option: click.Parameter, value: str | None
) -> tuple[float, ...]:
    """Thresholds separated by commas; none where the option is not given."""
    if value is None:
        return ()
    try:
        thresholds = tuple(float(part) for part in value.split(","))
    except ValueError as error:
        raise click.BadParameter(f"{value!r}; expected numbers such as 0.3,0.5,0.7") from error
    if not all(0 < threshold <= 1 for threshold in thresholds):
        raise click.BadParameter(f"{value!r}; expected numbers above 0 and at most 1")
    return thresholds


def _read_weights(
    _context: click.Context, _option: click.Parameter, value: str | None
) -> tuple[float, ...] | None:
    """Callback of ``--weights``: numbers separated by commas."""
    try:
        return None if value is None else tuple(float(weight) for weight in value.split(","))
    except ValueError as error:
        raise click.BadParameter(f"{value!r}; expected numbers such as 1,1.5") from error


@click.command(epilog=example("featkd evaluate demo runs/demo/teacher --still"))
@click.argument("source", metavar="RECIPE|PREDICTIONS")
@set_option
@click.argument("runs", metavar="[RUN]...", nargs=-1, type=any_path)
@click.option(
    "--task",
    type=click.Choice(["classification", "detection"]),
    default="classification",
    show_default=True,
    help="What to measure: networks of a recipe, or a file of detections.",
)
@click.option(
    "--split",
    metavar="NAME",
    help="Split to measure on.  [default: data.test_split; of a ground truth the only one, else "
    "test]",
)
@click.option(
    "--still",
    is_flag=True,
    help="Show the network each clip's middle frame, repeated: what it then still recognises, it "
    "did not recognise by motion.",
)
@click.option(
    "--ground-truth",
    metavar="FILE",
    type=any_path,
    help="Detection: annotations, in ActivityNet's JSON.",
)
@click.option(
    "--tiou",
    metavar="NUMBERS",
    callback=_read_thresholds,
    help="Detection: thresholds of tIoU, separated by commas.  [default: 0.1,0.2,0.3,0.4,0.5]",
)
@click.option(
    "--timelines",
    metavar="FILE",
    type=any_path,
    help="Detection: draw what was annotated and predicted when, in an HTML file; hits are those "
    "at the highest threshold.",
)
@click.option(
    "--video",
    "videos",
    metavar="ID",
    multiple=True,
    help="Detection: a video to draw; may be given several times.  [default: the first 12]",
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
@click.pass_context
def evaluate(
    context: click.Context,
    *,
    source: str,
    overrides: tuple[str, ...],
    runs: tuple[Path, ...],
    task: Task,
    split: str | None,
    still: bool,
    ground_truth: Path | None,
    tiou: tuple[float, ...],
    timelines: Path | None,
    videos: tuple[str, ...],
    others: tuple[tuple[str, Path], ...],
    weights: tuple[float, ...] | None,
    scores: str | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Measure trained networks on unseen videos, or score detections.

    RUN is a run folder; without one, every finished run of the recipe's workdir is measured. Reads
    its model.safetensors and the videos of the split. On the test split, writes evaluation.json
    into the run folder, where 'compare' and 'report' look for it; with --still, --fuse or another
    split, only prints.

    With --task detection, PREDICTIONS is a JSON file of segments as ActivityNet has it, written by
    featkd or by any other tool, and --ground-truth is needed. Prints mAP at each threshold of tIoU.
    """
    _refuse_options_of_another_task(context, task)
    if task == "detection":
        if ground_truth is None:
            raise click.UsageError("--task detection needs --ground-truth FILE")
        if videos and timelines is None:
            raise click.UsageError("--video needs --timelines FILE")
        from featkd.cli.detection_scores import score_detections

        score_detections(
            Path(source),
            ground_truth,
            subset=split,
            thresholds=tiou,
            timelines=timelines,
            videos=videos,
            as_json=as_json,
        )
        return
    if others and len(runs) != 1:
        raise click.UsageError(f"--fuse averages one RUN with others; {len(runs)} are given")
    if not others and (weights or scores):
        raise click.UsageError("--weights and --scores belong to --fuse, which is not given")
    if weights and len(weights) != 1 + len(others):
        raise click.UsageError(
            f"--weights gives {len(weights)} numbers; expected {1 + len(others)}, one for RUN and "
            "one for each --fuse"
        )
    from featkd.cli.accuracy_stages import measure_fused, measure_networks

    if others:
        measure_fused(
            [(source, runs[0]), *others],
            overrides,
            weights=weights or (1.0,) * (1 + len(others)),
            kind="logits" if scores == "logits" else "probabilities",
            split=split,
            still=still,
            as_json=as_json,
            quiet=quiet,
        )
    else:
        measure_networks(
            source, overrides, runs, split=split, still=still, as_json=as_json, quiet=quiet
        )


def _refuse_options_of_another_task(context: click.Context, task: Task) -> None:
    for other, options in _OPTIONS_OF.items():
        for name, spelled in options.items():
            given = context.get_parameter_source(name) is ParameterSource.COMMANDLINE
            if other != task and given and context.params[name]:
                raise click.UsageError(f"{spelled} does not go with --task {task}")
