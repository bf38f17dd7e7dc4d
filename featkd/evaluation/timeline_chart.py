"""Geometry of a video's timeline: what happens in it, and what was predicted with which score.

Coordinates are drawing units with the origin at the top left, y downwards.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import pandas as pd

from featkd.detection.mean_average_precision import UNMATCHED, match_predictions, spans_sec
from featkd.detection.segments import temporal_iou
from featkd.evaluation.axes import Axis, linear_axis
from featkd.evaluation.charts import CHART_WIDTH, curve_path
from featkd.evaluation.number_text import significant

LABEL_WIDTH = 190.0
STRIP_HEIGHT = 74.0
STRIP_GAP = 20.0
MAX_PREDICTIONS = 20
"""Predictions of one class that are drawn; the best."""


class AnnotatedSpan(NamedTuple):
    """An annotated segment, drawn over the height of its strip."""

    x: float
    width: float
    title: str


class PredictedLine(NamedTuple):
    """A predicted segment, drawn as high as its score."""

    start_x: float
    end_x: float
    y: float
    is_hit: bool
    title: str


class Strip(NamedTuple):
    """One class: its name, score axis, annotated and predicted segments."""

    label: str
    score_axis: Axis
    annotated: tuple[AnnotatedSpan, ...]
    predicted: tuple[PredictedLine, ...]


class AttentionStrip(NamedTuple):
    """How much attention a network paid over time: axis that covers it, SVG path."""

    axis: Axis
    path: str


@dataclass(frozen=True, slots=True)
class TimelineChart:
    """A strip a class over the seconds of one video, and one of attention if there is any."""

    video_id: str
    note: str
    width: float
    height: float
    time_axis: Axis
    strips: tuple[Strip, ...]
    attention: AttentionStrip | None


def timeline_chart(
    video_id: str,
    annotations: pd.DataFrame,
    predictions: pd.DataFrame,
    tiou_threshold: float | None,
    duration_sec: float | None = None,
    attention: Sequence[tuple[float, float]] = (),
) -> TimelineChart:
    """Lay out the classes that were annotated or predicted in a video.

    Args:
        video_id: its name.
        annotations: of this video, with the columns ``label``, ``start_sec`` and ``end_sec``.
        predictions: of this video, with ``score`` too.
        tiou_threshold: which overlap makes a prediction a hit; None where nothing is annotated.
        duration_sec: of the video, if known.
        attention: moments in seconds and the attention paid at each, from 0 to 1, if any.
    """
    ends_sec = [*annotations["end_sec"], *predictions["end_sec"], *(at for at, _ in attention)]
    time_axis = linear_axis(
        [0.0, duration_sec or 0.0, *ends_sec], LABEL_WIDTH, CHART_WIDTH - 16.0, num_ticks=10
    )
    labels = dict.fromkeys([*annotations["label"], *predictions["label"]])
    # Scores of detectors seldom come near 1: strips are as high as the best of the video.
    scores = [0.0, *predictions["score"]] if len(predictions) else [0.0, 1.0]
    strips, hidden, top = [], 0, 12.0
    for label in labels:
        axis = linear_axis(scores, top + STRIP_HEIGHT, top, num_ticks=2)
        ranked = predictions[predictions["label"] == label].sort_values(
            "score", ascending=False, kind="stable"
        )
        truth = annotations[annotations["label"] == label]
        lines = _predicted(ranked, truth, tiou_threshold, time_axis, axis)
        strips.append(Strip(label, axis, _annotated(truth, time_axis), lines[:MAX_PREDICTIONS]))
        hidden += len(lines[MAX_PREDICTIONS:])
        top += STRIP_HEIGHT + STRIP_GAP
    attention_strip = None
    if attention:
        paid = [value for _, value in attention]
        axis = linear_axis(paid, top + STRIP_HEIGHT, top, num_ticks=2)
        attention_strip = AttentionStrip(axis, curve_path(attention, time_axis, axis))
        top += STRIP_HEIGHT + STRIP_GAP
    return TimelineChart(
        video_id,
        _note(None if tiou_threshold is None else len(annotations), len(predictions), hidden),
        CHART_WIDTH,
        top - STRIP_GAP + 46.0,
        time_axis,
        tuple(strips),
        attention_strip,
    )


def _annotated(truth: pd.DataFrame, time_axis: Axis) -> tuple[AnnotatedSpan, ...]:
    return tuple(
        AnnotatedSpan(
            time_axis.place(start),
            round(time_axis.place(end) - time_axis.place(start), 2),
            f"{label}, annotated from {start:.1f} to {end:.1f} s",
        )
        for label, (start, end) in zip(truth["label"], spans_sec(truth).tolist(), strict=True)
    )


def _predicted(
    ranked: pd.DataFrame,
    truth: pd.DataFrame,
    threshold: float | None,
    time_axis: Axis,
    score_axis: Axis,
) -> tuple[PredictedLine, ...]:
    """Lines of one class, best score first; hits as the evaluation counts them."""
    ious = temporal_iou(spans_sec(ranked), spans_sec(truth))
    matches = match_predictions(ious, [1.0 if threshold is None else threshold])[:, 0]
    lines = []
    for row, (match, (start, end)) in enumerate(
        zip(matches.tolist(), spans_sec(ranked).tolist(), strict=True)
    ):
        score = float(ranked["score"].iloc[row])
        title = f"{ranked['label'].iloc[row]}, score {significant(score)}, "
        title += f"{start:.1f} to {end:.1f} s"
        is_hit = match != UNMATCHED
        if threshold is not None:
            title += f", tIoU {ious[row, match]:.2f}" if is_hit else ", no segment found"
        lines.append(
            PredictedLine(
                time_axis.place(start), time_axis.place(end), score_axis.place(score), is_hit, title
            )
        )
    return tuple(lines)


def _note(num_annotated: int | None, num_predicted: int, num_hidden: int) -> str:
    annotated = "" if num_annotated is None else f"{_count(num_annotated, 'segment')}, "
    hidden = f", {num_hidden} of them not drawn" if num_hidden else ""
    return f"{annotated}{_count(num_predicted, 'prediction')}{hidden}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
