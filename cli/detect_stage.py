"""What ``featkd detect`` does: finds segments in video files, prints, writes and draws them."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import click

from featkd.cli.figures import plural
from featkd.cli.progress import show_progress
from featkd.cli.tables import print_json, print_table
from featkd.detection.ground_truth import GroundTruth
from featkd.detection.inference import InferenceSpec
from featkd.detection.predictions import predictions_document, write_predictions
from featkd.detection.whole_video import FoundActions, find_actions, join_predictions
from featkd.evaluation.timelines import write_timelines
from featkd.experiment.detection.detect import clips_of_files, open_detector
from featkd.experiment.workspace import find_device

NUM_SHOWN = 10
_VERSION = "featkd"


def detect_in_files(
    run: Path,
    videos: Sequence[Path],
    *,
    stride: int | None,
    min_score: float | None,
    top: int | None,
    output: Path | None,
    timelines: Path | None,
    device: str,
    as_json: bool,
    quiet: bool,
) -> None:
    """Find segments in video files.

    Args:
        run: a run folder or the file of its weights.
        videos: the files.
        stride: from one window to the next, in sampled frames; None: the run's.
        min_score: what candidates must score; None: the run's.
        top: how many segments of each video are kept; None: all.
        output: where to write them, if anywhere.
        timelines: where to draw them, if anywhere.
        device: where to compute.
        as_json: whether to print JSON.
        quiet: whether to show no progress.

    Raises:
        FeatkdError: the detector cannot be loaded, or a video cannot serve.
    """
    detector, spec = open_detector(run, find_device(device))
    spec = _changed(spec, stride, min_score)
    clips = clips_of_files(videos, detector.card)
    with show_progress(quiet=quiet) as progress:
        if len(clips) == 1:
            found = [find_actions([detector], clips[0], spec, progress)]
        else:
            tracked = progress.track(clips, description="detect", total=len(clips), unit="videos")
            found = [find_actions([detector], clip, spec) for clip in tracked]
    if top is not None:
        found = [replace(each, predictions=each.predictions[:top]) for each in found]
    predictions = join_predictions(found)
    names = [each.video_id for each in found]
    document = predictions_document(predictions, _VERSION, names)
    if output is not None:
        write_predictions(output, predictions, _VERSION, names)
    if timelines is not None:
        truth = GroundTruth.unannotated({c.video_id: c.num_frames / c.fps for c in clips})
        attention = {each.video_id: each.attention for each in found}
        write_timelines(timelines, truth, predictions, names, None, attention)
    written = {"output": output, "timelines": timelines}
    named = {option: path for option, path in written.items() if path is not None}
    if as_json:
        print_json(document | named)
        return
    for each in found:
        _print(each, top or NUM_SHOWN)
    for path in named.values():
        click.echo(f"{path} written")


def _changed(spec: InferenceSpec, stride: int | None, min_score: float | None) -> InferenceSpec:
    """The settings of a run, changed where an option says so."""
    windows = spec.windows
    if stride is not None:
        windows = windows.model_copy(update={"inference_stride": stride})
    limit = spec.min_score if min_score is None else min_score
    return spec.model_copy(update={"windows": windows, "min_score": limit})


def _print(found: FoundActions, num_shown: int) -> None:
    """A table of the best segments of a video, below its name."""
    best = found.predictions[:num_shown]
    num_more = len(found.predictions) - len(best)
    click.echo(f"{found.video_id}: {plural(len(found.predictions), 'segments')}")
    if best.empty:
        return
    columns = (best[name].tolist() for name in ("label", "start_sec", "end_sec", "score"))
    print_table(
        ["class", "start s", "end s", "score"],
        [
            [label, f"{start:.1f}", f"{end:.1f}", f"{score:.3f}"]
            for label, start, end, score in zip(*columns, strict=True)
        ],
        numeric=["start s", "end s", "score"],
    )
    if num_more:
        click.echo(f"and {num_more} more; --top says how many are shown")
