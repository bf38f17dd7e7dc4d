"""``featkd evaluate``."""

from pathlib import Path
from typing import Literal

import click
from click.core import ParameterSource

from featkd.cli.options import any_path, example, output_options, set_option

Task = Literal["classification", "detection"]

_OPTIONS_OF: dict[Task, dict[str, str]] = {
    "classification": {"runs": "RUN", "overrides": "--set", "still": "--still"},
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
    as_json: bool,
    quiet: bool,
) -> None:
    """Measure trained networks on unseen videos, or score detections.

    RUN is a run folder; without one, every finished run of the recipe's workdir is measured. Reads
    its model.safetensors and the videos of the split. On the test split, writes evaluation.json
    into the run folder, where 'compare' and 'report' look for it; with --still or another split,
    only prints.

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
    from featkd.cli.figures import percent
    from featkd.cli.progress import show_progress
    from featkd.cli.tables import print_json, print_table
    from featkd.errors import UsageError
    from featkd.evaluation import find_runs
    from featkd.experiment import Workspace, as_filmed, middle_frame_repeated
    from featkd.experiment import evaluate as measure
    from featkd.experiment import evaluate_run as measure_and_write
    from featkd.recipes import load_recipe

    workspace = Workspace(load_recipe(source, overrides))
    folders = runs or tuple(
        run.folder
        for run in find_runs(workspace.folder)
        if run.kind != "representation" and run.summary is not None
    )
    if not folders:
        raise UsageError(f"{workspace.folder} holds no finished run; expected at least one")
    test_split = workspace.recipe.data.test_split
    split = split or test_split
    show = middle_frame_repeated if still else as_filmed
    with show_progress(quiet=quiet) as progress:
        accuracies = {
            folder: measure_and_write(workspace, folder, progress=progress)
            if split == test_split and not still
            else measure(
                workspace, folder / "model.safetensors", split, show=show, progress=progress
            )
            for folder in folders
        }
    if as_json:
        measured = {str(folder): accuracy.to_json() for folder, accuracy in accuracies.items()}
        print_json({"split": split, "one_frame_repeated": still, "runs": measured})
        return
    click.echo(f"split {split}{', one frame repeated' if still else ''}; accuracies in %")
    print_table(
        ["run", "videos", "top-1", "top-5", "mean class"],
        [
            [
                str(folder),
                str(accuracy.num_videos),
                percent(accuracy.top1),
                percent(accuracy.top5),
                percent(accuracy.mean_class_accuracy),
            ]
            for folder, accuracy in accuracies.items()
        ],
        numeric=["videos", "top-1", "top-5", "mean class"],
    )


def _refuse_options_of_another_task(context: click.Context, task: Task) -> None:
    for other, options in _OPTIONS_OF.items():
        for name, spelled in options.items():
            given = context.get_parameter_source(name) is ParameterSource.COMMANDLINE
            if other != task and given and context.params[name]:
                raise click.UsageError(f"{spelled} does not go with --task {task}")
