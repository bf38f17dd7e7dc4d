"""``featkd evaluate``."""

from pathlib import Path

import click

from featkd.cli.detection_task import detection_task
from featkd.cli.options import any_path, example, output_options, set_option


@click.command(epilog=example("featkd evaluate demo runs/demo/teacher --still"))
@set_option
@click.argument("recipe_source", metavar="RECIPE|PREDICTIONS")
@click.argument("runs", metavar="[RUN]...", nargs=-1, type=any_path)
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
@output_options
@detection_task
def evaluate(
    *,
    recipe_source: str,
    overrides: tuple[str, ...],
    runs: tuple[Path, ...],
    split: str | None,
    still: bool,
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
    from featkd.cli.figures import percent
    from featkd.cli.progress import show_progress
    from featkd.cli.tables import print_json, print_table
    from featkd.errors import UsageError
    from featkd.evaluation import find_runs
    from featkd.experiment import Workspace, as_filmed, middle_frame_repeated
    from featkd.experiment import evaluate as measure
    from featkd.experiment import evaluate_run as measure_and_write
    from featkd.recipes import load_recipe

    workspace = Workspace(load_recipe(recipe_source, overrides))
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
