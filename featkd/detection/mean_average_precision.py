"""Mean average precision of predicted segments, as ActivityNet's evaluation defines it.

Caba Heilbron et al., "ActivityNet: A Large-Scale Video Benchmark for Human Activity Understanding"
(CVPR 2015). For every class, predictions of all videos are ranked by score. At a threshold of tIoU
a prediction is right if the best overlapping segment of its class and video that no prediction
before it has taken overlaps it by at least the threshold. Average precision is the area under the
precision-recall curve, precision made monotone from the right; its mean over the classes of the
ground truth is the mAP.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from featkd.detection.ground_truth import GroundTruth
from featkd.detection.segments import temporal_iou
from featkd.errors import UsageError

TIOU_THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5)
"""Of the generative distillation paper's Table 2; AFSD reports 0.3 to 0.7."""

UNMATCHED = -1


@dataclass(frozen=True, slots=True)
class MeanAveragePrecision:
    """How well predictions found the segments of one subset. Precisions are fractions of 1.

    Attributes:
        subset: name of the subset.
        thresholds: of tIoU.
        average_precision: class to its AP at each threshold, in the ground truth's order.
        num_videos: videos of the subset.
        num_segments: annotated segments in them.
        num_predictions: predictions that were scored.
        num_in_unknown_videos: predictions left out because their video is not in the subset.
        num_of_unknown_classes: predictions left out because no segment of the subset has their
            class.
    """

    subset: str
    thresholds: tuple[float, ...]
    average_precision: dict[str, tuple[float, ...]]
    num_videos: int
    num_segments: int
    num_predictions: int
    num_in_unknown_videos: int
    num_of_unknown_classes: int

    @property
    def by_threshold(self) -> tuple[float, ...]:
        """Mean over classes at each threshold."""
        return tuple(np.mean(list(self.average_precision.values()), axis=0).tolist())

    @property
    def average(self) -> float:
        """Mean over thresholds."""
        return float(np.mean(self.by_threshold))

    def to_json(self) -> dict[str, object]:
        """Return plain numbers and lists, ready for ``json.dumps``."""
        return {
            "subset": self.subset,
            "num_videos": self.num_videos,
            "num_segments": self.num_segments,
            "num_classes": len(self.average_precision),
            "num_predictions": self.num_predictions,
            "num_in_unknown_videos": self.num_in_unknown_videos,
            "num_of_unknown_classes": self.num_of_unknown_classes,
            "tiou_thresholds": list(self.thresholds),
            "map": list(self.by_threshold),
            "average_map": self.average,
            "average_precision": {
                name: list(values) for name, values in self.average_precision.items()
            },
        }


def measure_mean_average_precision(
    predictions: pd.DataFrame, truth: GroundTruth, thresholds: Sequence[float] = TIOU_THRESHOLDS
) -> MeanAveragePrecision:
    """Score predictions.

    Equal scores rank in the order of the rows, equal overlaps in the order of the annotations. A
    class without a prediction has AP 0.

    Args:
        predictions: one row each, with the columns of `PREDICTION_COLUMNS`.
        truth: the annotations; every class that occurs in them counts the same.
        thresholds: of tIoU, each above 0 and at most 1.

    Raises:
        UsageError: the ground truth has no segment, or there is no threshold or a wrong one.
    """
    _check_thresholds(thresholds)
    if truth.segments.empty:
        raise UsageError(f"ground truth of {truth.subset!r} has no segment; expected at least one")
    in_videos = predictions["video_id"].isin(truth.videos)
    of_classes = predictions["label"].isin(truth.classes)
    scored = predictions[in_videos & of_classes]
    predictions_of = dict(list(scored.groupby("label", sort=False)))
    segments_of = dict(list(truth.segments.groupby("label", sort=False)))
    return MeanAveragePrecision(
        subset=truth.subset,
        thresholds=tuple(thresholds),
        average_precision={
            name: _class_average_precision(predictions_of.get(name), segments_of[name], thresholds)
            for name in truth.classes
        },
        num_videos=len(truth.videos),
        num_segments=len(truth.segments),
        num_predictions=len(scored),
        num_in_unknown_videos=int((~in_videos).sum()),
        num_of_unknown_classes=int((in_videos & ~of_classes).sum()),
    )


def match_predictions(
    ious: Float[np.ndarray, "predictions segments"], thresholds: Sequence[float]
) -> Int[np.ndarray, "predictions thresholds"]:
    """Give each prediction the segment it finds, one class and one video at a time.

    Args:
        ious: tIoU of every prediction, best score first, with every annotated segment.
        thresholds: of tIoU.

    Returns:
        Index of a segment, or -1 where a prediction finds none that is not taken.
    """
    num_predictions, num_segments = ious.shape
    limits, columns = np.asarray(thresholds), np.arange(len(thresholds))
    matches = np.full((num_predictions, len(thresholds)), UNMATCHED)
    if num_segments == 0:
        return matches
    free = np.ones((len(thresholds), num_segments), dtype=bool)
    for row, overlaps in enumerate(ious):
        candidates = np.where(free, overlaps, -1.0)
        best = candidates.argmax(axis=1)
        found = candidates[columns, best] >= limits
        matches[row, found] = best[found]
        free[columns[found], best[found]] = False
    return matches


def average_precision(
    hits: Bool[np.ndarray, "predictions thresholds"], num_segments: int
) -> Float[np.ndarray, " thresholds"]:
    """Area under the interpolated precision-recall curve, at each threshold.

    Args:
        hits: whether each prediction, best score first, found a segment.
        num_segments: how many there were to find, at least one.
    """
    num_found = hits.cumsum(axis=0)
    precision = num_found / np.arange(1, len(hits) + 1)[:, None]
    monotone = np.maximum.accumulate(precision[::-1], axis=0)[::-1]
    area: np.ndarray = (monotone * hits).sum(axis=0) / num_segments
    return area


def _class_average_precision(
    predictions: pd.DataFrame | None, segments: pd.DataFrame, thresholds: Sequence[float]
) -> tuple[float, ...]:
    if predictions is None:
        return (0.0,) * len(thresholds)
    ranked = predictions.sort_values("score", ascending=False, kind="stable", ignore_index=True)
    hits = np.zeros((len(ranked), len(thresholds)), dtype=bool)
    spans_of = {name: spans_sec(group) for name, group in segments.groupby("video_id", sort=False)}
    for video_id, group in ranked.groupby("video_id", sort=False):
        if video_id in spans_of:
            ious = temporal_iou(spans_sec(group), spans_of[video_id])
            hits[group.index] = match_predictions(ious, thresholds) != UNMATCHED
    return tuple(average_precision(hits, len(segments)).tolist())


def spans_sec(table: pd.DataFrame) -> Float[np.ndarray, "rows 2"]:
    """Start and end in seconds of each row of predictions or annotations."""
    return table[["start_sec", "end_sec"]].to_numpy(float)


def _check_thresholds(thresholds: Sequence[float]) -> None:
    if not thresholds:
        raise UsageError("there is no threshold of tIoU; expected at least one")
    for threshold in thresholds:
        if not 0.0 < threshold <= 1.0:
            raise UsageError(f"threshold of tIoU is {threshold}; expected above 0 and at most 1")
