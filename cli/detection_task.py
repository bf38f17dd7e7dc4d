"""``featkd evaluate --task detection``: its options, and the choice between the tasks."""

from collections.abc import Callable, Collection
from functools import wraps
from pathlib import Path
from typing import Any, Literal

import click
from click.core import ParameterSource

from featkd.cli.options import any_path

Task = Literal["classification", "detection"]

_OF_DETECTION = ("ground_truth", "tiou", "timelines", "videos")
_OF_BOTH = ("recipe_source", "split", "as_json", "quiet")


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


def detection_task(command: Callable[..., None]) -> Callable[..., None]:
    """``--task``, and what goes with ``--task detection``, which the command itself never sees."""

    @click.option(
        "--task",
        type=click.Choice(["classification", "detection"]),
        default="classification",
        show_default=True,
        help="What to measure: networks of a recipe, or a file of detections.",
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
        help="Detection: draw what was annotated and predicted when, in an HTML file; hits are "
        "those at the highest threshold.",
    )
    @click.option(
        "--video",
        "videos",
        metavar="ID",
        multiple=True,
        help="Detection: a video to draw; may be given several times.  [default: the first 12]",
    )
    @click.pass_context
    @wraps(command)
    def choose(
        context: click.Context,
        /,
        *,
        task: Task,
        ground_truth: Path | None,
        tiou: tuple[float, ...],
        timelines: Path | None,
        videos: tuple[str, ...],
        **others: Any,
    ) -> None:
        if task == "classification":
            _refuse(context, task, _OF_DETECTION)
            command(**others)
            return
        _refuse(context, task, [name for name in others if name not in _OF_BOTH])
        if ground_truth is None:
            raise click.UsageError("--task detection needs --ground-truth FILE")
        if videos and timelines is None:
            raise click.UsageError("--video needs --timelines FILE")
        from featkd.cli.detection_scores import score_detections

        score_detections(
            Path(others["recipe_source"]),
            ground_truth,
            subset=others["split"],
            thresholds=tiou,
            timelines=timelines,
            videos=videos,
            as_json=others["as_json"],
        )

    return choose


def _refuse(context: click.Context, task: Task, names: Collection[str]) -> None:
    """Refuse parameters that were given and belong to the other task."""
    for parameter in context.command.params:
        name = parameter.name or ""
        given = context.get_parameter_source(name) is ParameterSource.COMMANDLINE
        if name in names and given and context.params[name]:
            hint = parameter.get_error_hint(context)
            raise click.UsageError(f"{hint} does not go with --task {task}")
