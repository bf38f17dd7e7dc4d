"""Reading and writing of ActivityNet's files."""

import json
from dataclasses import replace

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from featkd.detection.ground_truth import GroundTruth, read_ground_truth, write_ground_truth
from featkd.detection.predictions import (
    PREDICTION_COLUMNS,
    read_predictions,
    write_predictions,
)
from featkd.errors import AnnotationError

TRUTH = {
    "database": {
        "v1": {
            "subset": "test",
            "duration": 60.5,
            "url": "somewhere",
            "annotations": [{"segment": ["1.5", "2.25"], "label": "run"}],
        },
        "v2": {"subset": "train", "annotations": [{"segment": [0, 3], "label": "sit"}]},
        "v3": {"subset": "test", "annotations": []},
    }
}
PREDICTION = {"label": "run", "score": 0.5, "segment": [1, 2.5]}


@pytest.fixture
def written(tmp_path):
    def write(content):
        path = tmp_path / "file.json"
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return path

    return write


def test_read_predictions__of_activitynet(shared_data):
    path = shared_data / "annotations" / "activitynet" / "sample_detection_prediction.json"

    predictions = read_predictions(path)

    assert tuple(predictions.columns) == PREDICTION_COLUMNS
    assert len(predictions) == 7654
    assert predictions["video_id"].nunique() == 4926
    assert predictions["label"].nunique() == 200
    assert predictions.iloc[0].tolist() == [
        "wONwHYy59Tc", "Blow-drying hair", 1.0, 94.52138901727746, 130.48707650118757,
    ]  # fmt: skip


def test_read_predictions__needs_results_only(written):
    predictions = read_predictions(written({"results": {"v1": [PREDICTION], "v2": []}}))

    assert predictions.to_numpy().tolist() == [["v1", "run", 0.5, 1.0, 2.5]]


def test_read_predictions__none(written):
    assert read_predictions(written({"results": {}})).empty


name = st.text(st.characters(codec="utf-8"), min_size=1, max_size=5)
number = st.floats(allow_nan=False, allow_infinity=False)
row = st.tuples(name, name, number, number, number).map(
    lambda row: (*row[:3], min(row[3:]), max(row[3:]))
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(row, max_size=8))
def test_write_predictions__reads_back(tmp_path, rows):
    path = tmp_path / "predictions.json"
    predictions = pd.DataFrame(rows, columns=list(PREDICTION_COLUMNS))

    write_predictions(path, predictions, "mine")

    # A video's predictions lie together in the file.
    first = {video: order for order, (video, *_) in reversed(list(enumerate(rows)))}
    expected = sorted(rows, key=lambda row: first[row[0]])
    assert list(read_predictions(path).itertuples(index=False, name=None)) == expected
    assert set(json.loads(path.read_text())) == {"version", "results", "external_data"}


def test_write_predictions__refuses_what_is_no_number(tmp_path):
    rows = [("v1", "run", float("nan"), 0.0, 1.0)]
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_predictions(
            tmp_path / "p.json", pd.DataFrame(rows, columns=list(PREDICTION_COLUMNS)), "mine"
        )
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"label": 3}, r"field 'results\.v1\.0\.label' is 3"),
        ({"label": ""}, r"field 'results\.v1\.0\.label' is ''"),
        ({"score": "high"}, r"field 'results\.v1\.0\.score' is 'high'.*number"),
        ({"score": None}, r"field 'results\.v1\.0\.score' is None"),
        ({"score": float("nan")}, r"field 'results\.v1\.0\.score' is nan.*finite"),
        ({"segment": [1]}, r"field 'results\.v1\.0\.segment\.1' is missing"),
        ({"segment": [1, 2, 3]}, r"field 'results\.v1\.0\.segment' is \[1, 2, 3\]"),
        ({"segment": [1, "x"]}, r"field 'results\.v1\.0\.segment\.1' is 'x'"),
        ({"segment": [3, 2]}, r"'results\.v1\.0\.segment'.*starts at 3 and ends at 2"),
        ({"segment": [0, float("inf")]}, r"'results\.v1\.0\.segment\.1' is inf.*finite"),
    ],
    ids=str,
)
def test_read_predictions__wrong_value(written, change, message):
    path = written({"results": {"v1": [{**PREDICTION, **change}]}})

    with pytest.raises(AnnotationError, match=message) as caught:
        read_predictions(path)

    assert str(caught.value).startswith(f"{path}: ")
    assert "expected" in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("not json", "Invalid JSON"),
        ("[]", "expected predictions as ActivityNet has them"),
        ({"detections": []}, "field 'results' is missing"),
        ({"results": [PREDICTION]}, "field 'results' is"),
        ({"results": {"v1": PREDICTION}}, r"field 'results\.v1' is"),
        ({"results": {"v1": [{"label": "run"}]}}, r"field 'results\.v1\.0\.score' is missing"),
    ],
    ids=str,
)
def test_read_predictions__wrong_file(written, content, message):
    with pytest.raises(AnnotationError, match=message):
        read_predictions(written(content))


def test_read_predictions__no_file(tmp_path):
    with pytest.raises(AnnotationError, match=r"none\.json does not exist; expected predictions"):
        read_predictions(tmp_path / "none.json")
    with pytest.raises(AnnotationError, match="cannot be read: Is a directory"):
        read_predictions(tmp_path)


def test_read_ground_truth__takes_one_subset(written):
    truth = read_ground_truth(written(TRUTH))

    assert (truth.subset, truth.videos, truth.classes) == ("test", ("v1", "v3"), ("run",))
    assert truth.segments.to_numpy().tolist() == [["v1", "run", 1.5, 2.25]]
    assert truth.duration_sec == {"v1": 60.5}
    assert read_ground_truth(written(TRUTH), "train").classes == ("sit",)


def test_read_ground_truth__only_subset(written):
    content = {"database": {"v2": TRUTH["database"]["v2"]}}

    assert read_ground_truth(written(content)).subset == "train"


def test_read_ground_truth__of_thumos14(shared_data):
    path = shared_data / "annotations" / "thumos14" / "thumos_gt.json"

    train, test = (read_ground_truth(path, subset) for subset in ("train", None))

    assert (len(train.videos), len(train.segments)) == (200, 3007)
    assert (len(test.videos), len(test.segments)) == (210, 3311)
    assert set(train.classes) == set(test.classes)


@pytest.mark.parametrize(
    ("content", "subset", "message"),
    [
        ({"database": {}}, None, "field 'database' is empty"),
        (TRUTH, "val", r"no video is of subset 'val'; expected one of 'test' \(2 videos\)"),
        (
            {
                "database": {
                    "a": {"subset": "training", "annotations": []},
                    "b": {"subset": "validation", "annotations": []},
                }
            },
            None,
            "several subsets; expected one of 'training'",
        ),
        ({"database": {"v3": TRUTH["database"]["v3"]}}, None, "1 videos .* have no annotation"),
        ({"database": {"a": {"annotations": []}}}, None, r"'database\.a\.subset' is missing"),
        (
            {"database": {"a": {"subset": "test", "annotations": [{"label": "x"}]}}},
            None,
            r"'database\.a\.annotations\.0\.segment' is missing",
        ),
    ],
)
def test_read_ground_truth__wrong(written, content, subset, message):
    with pytest.raises(AnnotationError, match=message):
        read_ground_truth(written(content), subset)


def test_write_ground_truth__reads_back(written, tmp_path):
    truth = read_ground_truth(written(TRUTH))

    write_ground_truth(tmp_path / "again.json", truth)

    again = read_ground_truth(tmp_path / "again.json")
    assert (again.videos, again.duration_sec) == (truth.videos, truth.duration_sec)
    pd.testing.assert_frame_equal(again.segments, truth.segments)


def test_write_ground_truth__of_several_subsets(written, tmp_path):
    source = written(TRUTH)
    truths = [read_ground_truth(source, subset) for subset in ("train", "test")]

    write_ground_truth(tmp_path / "again.json", *truths)

    for truth in truths:
        again = read_ground_truth(tmp_path / "again.json", truth.subset)
        assert (again.videos, again.duration_sec) == (truth.videos, truth.duration_sec)
        pd.testing.assert_frame_equal(again.segments, truth.segments)


def test_write_ground_truth__refuses_a_video_in_two_subsets(written, tmp_path):
    truth = read_ground_truth(written(TRUTH))
    with pytest.raises(AnnotationError, match="video 'v1' is in subset 'test' and in 'val'"):
        write_ground_truth(tmp_path / "again.json", truth, replace(truth, subset="val"))
    assert not (tmp_path / "again.json").exists()


TABLE = pd.DataFrame(
    [("v1", 1.0, 2.0, 1), ("v9", 0.0, 1.0, 0), ("v1", 3.0, 4.0, 0)],
    columns=["video_id", "start_sec", "end_sec", "label"],
)


def test_ground_truth__of_labels():
    truth = GroundTruth.of_labels("val", ["v1", "v2"], TABLE, ["sit", "run"])

    assert truth.classes == ("run", "sit")
    assert truth.videos == ("v1", "v2")
    assert truth.segments.to_numpy().tolist() == [["v1", "run", 1.0, 2.0], ["v1", "sit", 3.0, 4.0]]


def test_ground_truth__of_wrong_labels():
    with pytest.raises(AnnotationError, match="annotation of 'v1' is 1; expected 0 to 0"):
        GroundTruth.of_labels("val", ["v1"], TABLE, ["sit"])


def test_ground_truth__annotates_only_its_videos():
    segments = pd.DataFrame(
        [("v9", "run", 0.0, 1.0)], columns=["video_id", "label", "start_sec", "end_sec"]
    )
    with pytest.raises(AnnotationError, match="annotates video 'v9'; expected one of its 1"):
        GroundTruth("test", ("v1",), segments)
