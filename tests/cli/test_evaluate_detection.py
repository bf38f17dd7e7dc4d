"""``featkd evaluate --task detection``."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

Featkd = Callable[..., Result]
Files = tuple[Path, Path]

TRUTH = {
    "database": {
        "v1": {
            "subset": "test",
            "annotations": [
                {"segment": [0, 10], "label": "A"},
                {"segment": [20, 30], "label": "A"},
                {"segment": [40, 50], "label": "B"},
            ],
        },
        "v2": {"subset": "test", "annotations": [{"segment": ["5", "15"], "label": "A"}]},
        "v3": {"subset": "train", "annotations": [{"segment": [0, 5], "label": "A"}]},
    }
}
RESULTS = {
    "v1": [
        {"label": "A", "score": 0.9, "segment": [0, 9]},
        {"label": "A", "score": 0.8, "segment": [1, 10]},
        {"label": "A", "score": 0.6, "segment": [24, 34]},
        {"label": "B", "score": 0.5, "segment": [40, 47]},
    ],
    "v2": [
        {"label": "A", "score": 0.7, "segment": [5, 15]},
        {"label": "Z", "score": 0.99, "segment": [5, 15]},
    ],
    "v9": [{"label": "A", "score": 0.99, "segment": [0, 1]}],
}


@pytest.fixture
def files(tmp_path: Path) -> Files:
    predictions, truth = tmp_path / "predictions.json", tmp_path / "truth.json"
    predictions.write_text(json.dumps({"results": RESULTS}))
    truth.write_text(json.dumps(TRUTH))
    return predictions, truth


@pytest.fixture
def score(featkd: Featkd, files: Files) -> Callable[..., Result]:
    predictions, truth = files

    def run(*options: object) -> Result:
        return featkd(
            "evaluate", "--task", "detection", predictions, "--ground-truth", truth, *options
        )

    return run


def test_evaluate__detections_as_json(score: Callable[..., Result]) -> None:
    result = score("--tiou", "0.1,0.3,0.5,0.7,0.9", "--json")

    assert result.exit_code == 0, result.output
    scores = json.loads(result.stdout)
    assert scores["average_map"] == pytest.approx(0.733333, abs=1e-6)
    assert scores["average_precision"]["A"][0] == pytest.approx(0.833333, abs=1e-6)
    assert scores["average_precision"]["B"] == [1, 1, 1, 1, 0]
    assert (scores["subset"], scores["num_videos"], scores["num_segments"]) == ("test", 2, 4)
    assert (scores["num_in_unknown_videos"], scores["num_of_unknown_classes"]) == (1, 1)


def test_evaluate__detections_as_table(score: Callable[..., Result]) -> None:
    lines = score().stdout.splitlines()

    assert lines[0] == "subset test: 2 videos, 4 segments of 2 classes; 5 predictions scored"
    assert lines[1:3] == [
        "left out: 1 prediction in videos that are not in the subset",
        "left out: 1 prediction of classes that do not occur in the subset",
    ]
    assert lines[4].split() == ["class", "0.1", "0.2", "0.3", "0.4", "0.5", "average"]
    assert " ".join(lines[6].split()) == "mean of classes 91.7 91.7 91.7 91.7 77.8 88.9"


def test_evaluate__of_another_split(score: Callable[..., Result]) -> None:
    scores = json.loads(score("--split", "train", "--json").stdout)

    assert (scores["num_videos"], scores["average_map"]) == (1, 0.0)


def test_evaluate__draws_timelines(score: Callable[..., Result], tmp_path: Path) -> None:
    path = tmp_path / "timelines.html"

    result = score("--timelines", path, "--video", "v2", "--json")

    assert json.loads(result.stdout)["timelines"] == str(path)
    assert path.read_text().count('<svg class="chart"') == 1
    assert f"timelines written to {path}" in score("--timelines", path).stdout
    assert path.read_text().count('<svg class="chart"') == 2


def test_evaluate__sample_of_activitynet_against_itself(
    featkd: Featkd, shared_data: Path, tmp_path: Path
) -> None:
    """Predictions that are right: their own segments serve as ground truth."""
    sample = shared_data / "annotations" / "activitynet" / "sample_detection_prediction.json"
    database = {
        video: {
            "subset": "validation",
            "annotations": [
                prediction
                for prediction in predictions
                if prediction["segment"][0] < prediction["segment"][1]
            ],
        }
        for video, predictions in json.loads(sample.read_text())["results"].items()
    }
    (tmp_path / "truth.json").write_text(json.dumps({"database": database}))

    result = featkd(
        "evaluate", "--task", "detection", sample, "--ground-truth", tmp_path / "truth.json",
        "--tiou", "0.5,0.95", "--json",
    )  # fmt: skip

    assert result.exit_code == 0, result.output
    scores = json.loads(result.stdout)
    assert (scores["num_predictions"], scores["num_segments"]) == (7654, 7651)
    assert scores["num_classes"] == 200
    assert scores["average_map"] > 0.999


@pytest.mark.parametrize(
    ("options", "exit_status", "message"),
    [
        (("--split", "val"), 1, "no video is of subset 'val'; expected one of 'test' (2 videos)"),
        (("--tiou", "a"), 2, "expected numbers such as 0.3,0.5,0.7"),
        (("--tiou", "0"), 2, "expected numbers above 0 and at most 1"),
        (("--still",), 2, "'--still' does not go with --task detection"),
        (("--set", "seed=1"), 2, "'--set' does not go with --task detection"),
        (("--video", "v1"), 2, "--video needs --timelines FILE"),
        (("--timelines", "t.html", "--video", "v9"), 1, "no video 'v9' in subset 'test'"),
        (("more",), 2, "'[RUN]...' does not go with --task detection"),
    ],
)
def test_evaluate__wrong_options(
    score: Callable[..., Result], options: tuple[str, ...], exit_status: int, message: str
) -> None:
    result = score(*options)

    assert result.exit_code == exit_status
    assert message in " ".join(result.stderr.split())
    assert result.stdout == ""


def test_evaluate__wrong_file_is_one_line(featkd: Featkd, files: Files) -> None:
    predictions, truth = files
    content = json.loads(predictions.read_text())
    content["results"]["v2"][1]["segment"] = [15, 5]
    predictions.write_text(json.dumps(content))

    result = featkd("evaluate", "--task", "detection", predictions, "--ground-truth", truth)

    assert result.exit_code == 1
    assert result.stderr.startswith(
        f"error: {predictions}: field 'results.v2.1.segment' is [15, 5]"
    )
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("p.json", "--task", "detection"), "--task detection needs --ground-truth FILE"),
        (("demo", "--ground-truth", "t.json"), "'--ground-truth' does not go with --task class"),
        (("demo", "--tiou", "0.5"), "'--tiou' does not go with --task classification"),
    ],
)
def test_evaluate__options_of_the_other_task(
    featkd: Featkd, arguments: tuple[str, ...], message: str
) -> None:
    result = featkd("evaluate", *arguments)

    assert result.exit_code == 2
    assert message in result.stderr
