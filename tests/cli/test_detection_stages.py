"""A whole experiment on detection through the commands."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from featkd.experiment.detection.workspace import DetectionWorkspace
from featkd.recipes import dump_recipe

Featkd = Callable[..., Result]
TRAINING = "{num_epochs: 1, batch_size: 2, optimiser: {kind: adam, learning_rate: 1e-3}}"
METHODS = ("none", "kd", "simkd", "generative")


@pytest.fixture(scope="module")
def recipe(
    tmp_path_factory: pytest.TempPathFactory,
    make_detection_workspace: Callable[..., DetectionWorkspace],
) -> Path:
    """A recipe in a file; its work folder is beside it."""
    folder = tmp_path_factory.mktemp("stages")
    workspace = make_detection_workspace(
        folder / "work",
        f"teacher.training={TRAINING}",
        f"student.training={TRAINING}",
        "representation={num_epochs: 1, batch_size: 2}",
        "distillers.none={kind: none}",
        "distillers.generative={kind: generative}",
    )
    path = folder / "recipe.yaml"
    path.write_text(dump_recipe(workspace.recipe))
    return path


def stages_of(result: Result) -> list[dict[str, object]]:
    assert result.exit_code == 0, result.output
    stages: list[dict[str, object]] = json.loads(result.stdout)["stages"]
    return stages


def test_stages__from_videos_to_four_measured_students(featkd: Featkd, recipe: Path) -> None:
    for stage in ("train", "extract", "represent"):
        (first,) = stages_of(featkd(stage, recipe, "--json"))
        assert first["worked"]
        (again,) = stages_of(featkd(stage, recipe, "--json"))
        assert not again["worked"]
    students = stages_of(featkd("distill", recipe, "--all", "--seed", "0", "--json"))
    assert {Path(str(stage["written"])).name for stage in students} == {
        f"{name}-seed0" for name in METHODS
    }
    one = featkd("distill", recipe, "--distiller", "kd", "--seed", "0")
    assert "was finished already" in one.stdout

    result = featkd("evaluate", recipe, "--json")
    assert result.exit_code == 0, result.output
    measured = json.loads(result.stdout)["runs"]
    assert {Path(folder).name for folder in measured} == {
        "teacher", *(f"{name}-seed0" for name in METHODS)
    }  # fmt: skip
    for folder in measured:
        evaluation = json.loads((Path(folder) / "evaluation.json").read_text())
        assert evaluation["task"] == "detection"
        assert set(evaluation["mean_average_precision"]) == {"0.1", "0.2", "0.3", "0.4", "0.5"}
        assert (Path(folder) / "predictions.json").is_file()


def test_sweep__of_detectors_tells_their_map(featkd: Featkd, recipe: Path) -> None:
    options = ("--distillers", "none,kd", "--seeds", "5", "--evaluate")
    result = featkd("sweep", recipe, *options)
    assert result.exit_code == 0, result.output
    assert "mAP % test" in result.stdout
    assert "top-1" not in result.stdout
    again = json.loads(featkd("sweep", recipe, *options, "--json").stdout)["students"]
    assert [student["state"] for student in again] == ["finished"] * 2
    for student in again:
        evaluation = json.loads((Path(student["folder"]) / "evaluation.json").read_text())
        assert student["test_average_map"] == evaluation["average"]
        assert student["test_top1"] is student["train_top1"] is None


def test_distill__unknown_distiller(featkd: Featkd, recipe: Path) -> None:
    result = featkd("distill", recipe, "--distiller", "sorcery")
    assert result.exit_code == 1
    assert "'sorcery' is not in recipe 'tiny_detection'" in result.stderr


def test_experiment__table_of_detectors(featkd: Featkd, recipe: Path) -> None:
    options = ("--row", "kd", "--seeds", "0,1", "--weights", "paper")
    result = featkd("experiment", "table2", "--recipe", recipe, *options)
    assert result.exit_code == 0, result.output
    for label in ("student alone", "KD"):
        assert label in result.stdout
    folder = recipe.parent / "work"
    table = json.loads((folder / "table2.json").read_text())
    assert [row["name"] for row in table["rows"]] == ["none", "kd"]
    page = (folder / "table2.html").read_text()
    assert page.startswith("<!DOCTYPE html>")
    assert all(name in page for name in ("none", "kd", "mAP at tIoU"))


def test_experiment__table_of_another_task(featkd: Featkd, recipe: Path) -> None:
    result = featkd("experiment", "table1", "--recipe", recipe)
    assert result.exit_code == 1
    assert "for detection and table 'table1' for classification" in result.stderr
