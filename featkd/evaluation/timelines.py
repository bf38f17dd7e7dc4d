"""Timelines of videos as one HTML file that needs nothing else."""

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

import pandas as pd

from featkd.detection.ground_truth import GroundTruth
from featkd.durable import replace_file
from featkd.errors import UsageError
from featkd.evaluation.charts import Series
from featkd.evaluation.page import page_environment
from featkd.evaluation.timeline_chart import MAX_PREDICTIONS, timeline_chart

HITS = Series("prediction that finds a segment", "method-2")
MISSES = Series("prediction that finds none", "method-1 dash-1")
PREDICTED = Series("predicted segment", "method-2")


def write_timelines(
    path: Path,
    truth: GroundTruth,
    predictions: pd.DataFrame,
    videos: Sequence[str],
    tiou_threshold: float | None,
    attention: Mapping[str, Sequence[tuple[float, float]]] | None = None,
) -> None:
    """Draw what happens in videos and what was predicted, in one HTML file.

    The file opens from disk, asks for nothing from the network and runs no script.

    Args:
        path: where to write; its folder is made if need be.
        truth: the annotations; `GroundTruth.unannotated` where there are none.
        predictions: one row each, with the columns of `PREDICTION_COLUMNS`.
        videos: ids of the videos to draw.
        tiou_threshold: which overlap makes a prediction a hit; None where nothing is annotated.
        attention: video to moments in seconds and the attention paid at each, from 0 to 1.

    Raises:
        UsageError: a video is not in the ground truth.
    """
    page = render_timelines(truth, predictions, videos, tiou_threshold, attention)
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, page.encode())


def render_timelines(
    truth: GroundTruth,
    predictions: pd.DataFrame,
    videos: Sequence[str],
    tiou_threshold: float | None,
    attention: Mapping[str, Sequence[tuple[float, float]]] | None = None,
) -> str:
    """Return the page; arguments as for `write_timelines`."""
    for video_id in videos:
        if video_id not in truth.videos:
            raise UsageError(
                f"there is no video {video_id!r} in subset {truth.subset!r}; "
                f"expected one of its {len(truth.videos)}, such as {truth.videos[0]!r}"
            )
    charts = [
        timeline_chart(
            video_id,
            truth.segments[truth.segments["video_id"] == video_id],
            predictions[predictions["video_id"] == video_id],
            tiou_threshold,
            truth.duration_sec.get(video_id),
            (attention or {}).get(video_id, ()),
        )
        for video_id in videos
    ]
    return (
        page_environment()
        .get_template("timelines.html")
        .render(
            version=version("featkd"),
            subset=truth.subset,
            charts=charts,
            tiou_threshold=tiou_threshold,
            max_predictions=MAX_PREDICTIONS,
            has_attention=any(chart.attention for chart in charts),
            hits=HITS,
            misses=PREDICTED if tiou_threshold is None else MISSES,
        )
    )
