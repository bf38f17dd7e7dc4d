import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from featkd.detection.ground_truth import GroundTruth, read_ground_truth
from featkd.detection.mean_average_precision import (
    match_predictions,
    measure_mean_average_precision,
)
from featkd.detection.predictions import PREDICTION_COLUMNS
from featkd.errors import UsageError

THRESHOLDS = (0.1, 0.3, 0.5, 0.7, 1.0)


def truth_of(rows, videos):
    columns = ["video_id", "label", "start_sec", "end_sec"]
    return GroundTruth("test", tuple(videos), pd.DataFrame(rows, columns=columns))


def predictions_of(rows):
    return pd.DataFrame(rows, columns=list(PREDICTION_COLUMNS))


def slow_tiou(first, second):
    shared = max(0.0, min(first[1], second[1]) - max(first[0], second[0]))
    either = (first[1] - first[0]) + (second[1] - second[0]) - shared
    return shared / either if either > 0 else 0.0


def slow_average_precision(predictions, truth, label, threshold):
    """AP of one class at one threshold, from the definition, without arrays."""
    ranked = sorted((row for row in predictions if row[1] == label), key=lambda row: -row[2])
    wanted = [row for row in truth if row[1] == label]
    taken, hits = set(), []
    for video_id, _, _, start, end in ranked:
        overlaps = [
            (slow_tiou((start, end), segment[2:]), -index)
            for index, segment in enumerate(wanted)
            if segment[0] == video_id and index not in taken
        ]
        best, index = max(overlaps, default=(0.0, 0))
        hits.append(best >= threshold)
        if hits[-1]:
            taken.add(-index)
    curve = [
        (sum(hits[:count]) / len(wanted), sum(hits[:count]) / count)
        for count in range(1, len(hits) + 1)
    ]
    area, last_recall = 0.0, 0.0
    for recall, _ in curve:
        area += (recall - last_recall) * max(p for r, p in curve if r >= recall)
        last_recall = recall
    return area


VIDEOS = ("a", "b", "c")
span = st.tuples(st.integers(0, 12), st.integers(0, 6))
annotation = st.tuples(st.sampled_from(VIDEOS[:2]), st.sampled_from(["run", "jump", "sit"]), span)
prediction = st.tuples(
    st.sampled_from([*VIDEOS, "unknown"]),
    st.sampled_from(["run", "jump", "fly"]),
    st.integers(0, 4),
    span,
)


@settings(max_examples=300, deadline=None)
@given(st.lists(annotation, min_size=1, max_size=12), st.lists(prediction, max_size=25))
def test_average_precision__compare(annotations, predictions):
    """Few places, lengths and scores: overlaps and ties abound; nobody predicts sitting."""
    annotations = [
        (video, label, float(at), float(at + length)) for video, label, (at, length) in annotations
    ]
    predictions = [
        (video, label, score / 4, float(at), float(at + length))
        for video, label, score, (at, length) in predictions
    ]

    found = measure_mean_average_precision(
        predictions_of(predictions), truth_of(annotations, VIDEOS), THRESHOLDS
    )

    known = [row for row in predictions if row[0] in VIDEOS]
    classes = list(dict.fromkeys(row[1] for row in annotations))
    assert list(found.average_precision) == classes
    expected = {
        label: [slow_average_precision(known, annotations, label, limit) for limit in THRESHOLDS]
        for label in classes
    }
    for label in classes:
        assert found.average_precision[label] == pytest.approx(expected[label], abs=1e-12)
    assert found.average == pytest.approx(np.mean(list(expected.values())))
    assert found.num_in_unknown_videos == len(predictions) - len(known)
    assert found.num_predictions == sum(row[1] in classes for row in known)
    assert found.num_of_unknown_classes == len(known) - found.num_predictions


def test_mean_average_precision__golden():
    truth = truth_of(
        [("v1", "A", 0, 10), ("v1", "A", 20, 30), ("v1", "B", 40, 50), ("v2", "A", 5, 15)],
        ["v1", "v2"],
    )
    predictions = predictions_of(
        [
            ("v1", "A", 0.9, 0, 9),
            ("v1", "A", 0.8, 1, 10),
            ("v1", "A", 0.6, 24, 34),
            ("v1", "B", 0.5, 40, 47),
            ("v2", "A", 0.7, 5, 15),
            ("v2", "Z", 0.99, 5, 15),
            ("v9", "A", 0.99, 0, 1),
        ]
    )

    found = measure_mean_average_precision(predictions, truth, (0.1, 0.3, 0.5, 0.7, 0.9))

    assert found.average_precision["A"] == pytest.approx(
        [0.833333, 0.833333, 0.555556, 0.555556, 0.555556], abs=1e-6
    )
    assert found.average_precision["B"] == (1, 1, 1, 1, 0)
    assert found.average == pytest.approx(0.733333, abs=1e-6)
    assert (found.num_in_unknown_videos, found.num_of_unknown_classes) == (1, 1)


@pytest.fixture(scope="module")
def thumos(shared_data):
    return read_ground_truth(shared_data / "annotations" / "thumos14" / "thumos_gt.json")


def test_mean_average_precision__full_size(thumos):
    order = thumos.segments.groupby("video_id").cumcount()
    number = thumos.segments["video_id"].str[-4:].astype(int)
    duration_sec = thumos.segments["end_sec"] - thumos.segments["start_sec"]
    predictions = thumos.segments.assign(
        score=((7919 * order) % 1000 + 0.5) / 1000 + 1e-7 * number,
        start_sec=thumos.segments["start_sec"] + 0.15 * duration_sec * (order % 7),
        end_sec=thumos.segments["end_sec"] + 0.3 * duration_sec * (order % 4),
    )

    found = measure_mean_average_precision(predictions, thumos)

    assert (found.num_videos, found.num_segments, len(found.average_precision)) == (210, 3311, 20)
    assert found.by_threshold == pytest.approx(
        [0.787826, 0.676398, 0.507100, 0.408813, 0.215839], abs=1e-6
    )
    assert found.average == pytest.approx(0.5191950, abs=1e-6)


def test_mean_average_precision__of_the_truth_is_1(thumos):
    found = measure_mean_average_precision(thumos.segments.assign(score=1.0), thumos)

    assert found.by_threshold == (1.0,) * 5


def test_mean_average_precision__no_predictions():
    truth = truth_of([("a", "run", 0.0, 1.0)], ["a"])

    found = measure_mean_average_precision(predictions_of([]), truth)

    assert (found.average, found.num_predictions) == (0.0, 0)


def test_mean_average_precision__a_video_without_annotations_has_false_alarms():
    truth = truth_of([("a", "run", 0.0, 1.0)], ["a", "quiet"])
    rows = [("quiet", "run", 0.9, 0.0, 1.0), ("a", "run", 0.8, 0.0, 1.0)]

    assert measure_mean_average_precision(predictions_of(rows), truth).average == 0.5


def test_mean_average_precision__to_json():
    truth = truth_of([("a", "run", 0.0, 1.0), ("a", "sit", 0.0, 1.0)], ["a"])
    found = measure_mean_average_precision(
        predictions_of([("a", "run", 0.9, 0.0, 0.8)]), truth, (0.5, 0.9)
    )

    content = json.loads(json.dumps(found.to_json()))

    assert content["map"] == [0.5, 0.0]
    assert content["average_map"] == 0.25
    assert content["average_precision"] == {"run": [1.0, 0.0], "sit": [0.0, 0.0]}
    assert content["tiou_thresholds"] == [0.5, 0.9]


def test_match_predictions__takes_the_next_best_that_is_free():
    ious = np.array([[0.9, 0.6], [0.8, 0.4], [0.3, 0.7]])

    assert match_predictions(ious, (0.4, 0.5)).tolist() == [[0, 0], [1, -1], [-1, 1]]


@pytest.mark.parametrize("thresholds", [(), (0.0,), (0.5, 1.1), (float("nan"),)])
def test_mean_average_precision__wrong_thresholds(thresholds):
    truth = truth_of([("a", "run", 0.0, 1.0)], ["a"])
    with pytest.raises(UsageError, match="threshold"):
        measure_mean_average_precision(predictions_of([]), truth, thresholds)


def test_mean_average_precision__nothing_to_find():
    with pytest.raises(UsageError, match="'test' has no segment"):
        measure_mean_average_precision(predictions_of([]), truth_of([], ["a"]))
