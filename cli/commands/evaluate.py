"""``featkd evaluate``."""

from pathlib import Path

import click

from featkd.cli.detection_task import detection_task
from featkd.cli.options import any_path, example, output_options, set_option


def _read_weights(
    _context: click.Context, _option: click.Parameter, value: str | None
) -> tuple[float, ...] | None:
    """Callback of ``--weights``: numbers separated by commas."""
    try:
        return None if value is None else tuple(float(weight) for weight in value.split(","))
    except ValueError as error:
        raise click.BadParameter(f"{value!r}; expected numbers such as 1,1.5") from error


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
@detection_task
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
    """Measure trained networks, or score detections.

    RUN is a run folder; without one, every finished run of the recipe's workdir is measured. Reads
    its model.safetensors and the videos of the split. On the test split, writes evaluation.json
    into the run folder, where 'compare' and 'report' look for it; with --still, --fuse or another
    split, only prints.

    A recipe for detection is measured in mAP at each threshold of tIoU; predictions.json is written
    too, in ActivityNet's form. Goes on where it was interrupted. With --fuse, the outputs of the
    runs are averaged with equal weights.

    PREDICTIONS is such a file of segments, written by featkd or by any other tool; --task detection
    and --ground-truth score it.
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
    from featkd.cli.accuracy_stages import measure_fused, measure_networks

    if others:
        measure_fused(
            [(recipe_source, runs[0]), *others],
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
            recipe_source, overrides, runs, split=split, still=still, as_json=as_json, quiet=quiet
        )
