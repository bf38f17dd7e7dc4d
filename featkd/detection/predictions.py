"""Predicted segments as files: the JSON of ActivityNet, which the tools of the field write.

::

    {"version": "THUMOS14",
     "results": {"video_test_0000004": [{"label": "CricketBowling", "score": 0.93,
                                         "segment": [11.4, 12.2]}]},
     "external_data": {}}

Only ``results`` is read.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from pydantic import FiniteFloat

from featkd.detection.segment_file import Document, Label, SegmentSec, read_document
from featkd.durable import replace_file

PREDICTION_COLUMNS = ("video_id", "label", "score", "start_sec", "end_sec")


class _Prediction(Document):
    label: Label
    score: FiniteFloat
    segment: SegmentSec


class _Predictions(Document):
    results: dict[str, list[_Prediction]]


def read_predictions(path: Path) -> pd.DataFrame:
    """Read a file of predictions.

    Returns:
        One row a prediction, in the file's order, with the columns of `PREDICTION_COLUMNS`: labels
        are class names, times are in seconds.

    Raises:
        AnnotationError: the file is not such a file; names the field and the value.
    """
    document = read_document(
        path, _Predictions, "predictions as ActivityNet has them: {'results': {video: [...]}}"
    )
    rows = [
        (video_id, prediction.label, prediction.score, *prediction.segment)
        for video_id, predictions in document.results.items()
        for prediction in predictions
    ]
    return pd.DataFrame(rows, columns=list(PREDICTION_COLUMNS)).astype(
        {"video_id": "str", "label": "str", "score": float, "start_sec": float, "end_sec": float}
    )


def write_predictions(
    path: Path, predictions: pd.DataFrame, version: str, videos: Sequence[str] = ()
) -> None:
    """Write predictions as ActivityNet has them, wholly or not at all.

    Args:
        path: where to write; its folder must exist.
        predictions: as for `predictions_document`.
        version: as for `predictions_document`.
        videos: as for `predictions_document`.

    Raises:
        OSError: the file cannot be written.
    """
    content = predictions_document(predictions, version, videos)
    text = json.dumps(content, ensure_ascii=False, allow_nan=False)
    replace_file(path, text.encode() + b"\n")


def predictions_document(
    predictions: pd.DataFrame, version: str, videos: Sequence[str] = ()
) -> dict[str, object]:
    """Predictions as ActivityNet has them, ready for ``json.dumps``.

    Args:
        predictions: one row each, with the columns of `PREDICTION_COLUMNS`.
        version: name of the dataset and its version, for readers.
        videos: ids that are listed even without a prediction; others without one are not.
    """
    results: dict[str, list[dict[str, object]]] = {video_id: [] for video_id in videos}
    columns = (predictions[name].tolist() for name in PREDICTION_COLUMNS)
    for video_id, label, score, start_sec, end_sec in zip(*columns, strict=True):
        results.setdefault(video_id, []).append(
            {"label": label, "score": score, "segment": [start_sec, end_sec]}
        )
    return {"version": version, "results": results, "external_data": {}}
