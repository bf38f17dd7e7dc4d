"""``featkd evaluate`` of detections: its options, and the choice between the tasks."""

from collections.abc import Callable, Collection
from functools import wraps
from pathlib import Path
from typing import Any, Literal

import click
from click.core import ParameterSource

from featkd.cli.options import any_path

Task = Literal["classification", "detection"]

_OF_DETECTION = ("ground_truth", "tiou", "timelines", "videos")
_OF_CLASSIFICATION = ("still", "weights", "scores")
_OF_FILES = ("recipe_source", "split", "as_json", "quiet")


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
    """``--task``, and the options of detection, which the command itself never sees."""

    @click.option(
        "--task",
        type=click.Choice(["classification", "detection"]),
        help="'detection' scores PREDICTIONS, a file of detections.  [default: runs of RECIPE are "
        "measured, by its own task]",
    )
    @click.option(
        "--ground-truth",
        metavar="FILE",
        type=any_path,
        help="Detection: annotations of PREDICTIONS, in ActivityNet's JSON.",
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
        task: Task | None,
        ground_truth: Path | None,
        tiou: tuple[float, ...],
        timelines: Path | None,
        videos: tuple[str, ...],
        **others: Any,
    ) -> None:
        source = others["recipe_source"]
        if task is None and Path(source).suffix == ".json":
            task = "detection"
        if task == "detection":
            _refuse(context, "--task detection", [name for name in others if name not in _OF_FILES])
            if ground_truth is None:
                raise click.UsageError(
                    "--task detection needs --ground-truth FILE; runs of a recipe are measured "
                    "without --task"
                )
            _check_videos(timelines, videos)
            from featkd.cli.detection_scores import score_detections

            score_detections(
                Path(source),
                ground_truth,
                subset=others["split"],
                thresholds=tiou,
                timelines=timelines,
                videos=videos,
                as_json=others["as_json"],
            )
            return
        from featkd.recipes import DetectionRecipe, load_any_recipe

        recipe = load_any_recipe(source, others["overrides"])
        if task == "classification" or not isinstance(recipe, DetectionRecipe):
            _refuse(context, "--task classification", _OF_DETECTION)
            command(**others)
            return
        _refuse(context, "a recipe for detection", ("ground_truth", *_OF_CLASSIFICATION))
        _check_videos(timelines, videos)
        from featkd.cli.detector_stages import measure_detectors

        measure_detectors(
            recipe,
            others["overrides"],
            others["runs"],
            fused=others["others"],
            split=others["split"],
            thresholds=tiou,
            timelines=timelines,
            videos=videos,
            as_json=others["as_json"],
            quiet=others["quiet"],
        )

    return choose


def _refuse(context: click.Context, what: str, names: Collection[str]) -> None:
    """Refuse parameters that were given and do not belong to what is measured."""
    for parameter in context.command.params:
        name = parameter.name or ""
        given = context.get_parameter_source(name) is ParameterSource.COMMANDLINE
        if name in names and given and context.params[name]:
            hint = parameter.get_error_hint(context)
            raise click.UsageError(f"{hint} does not go with {what}")


def _check_videos(timelines: Path | None, videos: Collection[str]) -> None:
    if videos and timelines is None:
        raise click.UsageError("--video needs --timelines FILE")
