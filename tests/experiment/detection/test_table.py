"""Tables of detectors on the tiny experiment."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from featkd.cli.experiment_tables import print_made_table
from featkd.errors import UsageError
from featkd.evaluation import sign_flip_p_value
from featkd.experiment.detection.evaluate import evaluate_detector
from featkd.experiment.detection.table import DetectionTable, make_detection_table
from featkd.experiment.detection.workspace import DetectionWorkspace
from featkd.experiment.student_pool import _workspace
from featkd.experiment.table_rows import with_rows
from featkd.recipes import DetectionRecipe
from featkd.recipes.detection_table import DetectionTableSpec

TABLE = DetectionTableSpec.model_validate(
    {
        "name": "tiny",
        "task": "detection",
        "title": "A tiny table",
        "full": [],
        "mini": [],
        "rows": {
            "none": {"label": "alone", "distiller": {"kind": "none"}, "baseline": None},
            "kd": {
                "label": "KD",
                "distiller": {"kind": "kd"},
                "search": {"key": "kd_weight", "values": [0.1, 10.0]},
                "published": {"mean_average_precision": {"0.5": 24.6}, "average": 33.1},
            },
        },
    }
)
SEEDS = (0, 1)


@pytest.fixture(scope="module")
def recipe(
    tmp_path_factory: pytest.TempPathFactory,
    extracted_windows: Path,
    open_students: Callable[..., DetectionWorkspace],
) -> DetectionRecipe:
    folder = tmp_path_factory.mktemp("table")
    for name in ("teacher", "cache"):
        (folder / name).symlink_to(extracted_windows / name)
    training = "student.training={num_epochs: 1, batch_size: 6}"
    workspace = open_students(folder, training, "data.validation_split=train")
    return with_rows(workspace.recipe, TABLE.rows)


@pytest.fixture(scope="module")
def table(recipe: DetectionRecipe) -> DetectionTable:
    workspace = DetectionWorkspace(recipe)
    (workspace.folder / "teacher").unlink()
    teacher = workspace.folder / "teacher"
    teacher.mkdir()
    original = (workspace.folder / "cache").resolve().parent / "teacher"
    (teacher / "model.safetensors").symlink_to(original / "model.safetensors")
    evaluate_detector(workspace, teacher)
    return make_detection_table(TABLE, recipe, TABLE.rows, SEEDS, search_seeds=(0,))


def test_make_table__figures_are_those_of_the_runs(
    recipe: DetectionRecipe, table: DetectionTable
) -> None:
    def evaluation(folder: str | Path) -> dict[str, object]:
        return json.loads((Path(folder) / "evaluation.json").read_text())

    assert table.teacher.average == evaluation(recipe.folder / "teacher")["average"]
    assert (table.num_videos, table.num_segments, table.num_classes) == (1, 1, 2)
    assert (table.teacher_gmac, table.teacher_parameters) == (None, None)
    assert table.thresholds == ("0.1", "0.2", "0.3", "0.4", "0.5")
    assert [row.name for row in table.rows] == ["none", "kd"]
    for row in table.rows:
        assert [result.seed for result in row.results] == list(SEEDS)
        measured = [evaluation(result.folder) for result in row.results]
        averages = [found["average"] for found in measured]
        assert row.mean.average == pytest.approx(sum(averages) / 2)
        for limit, value in row.mean.by_threshold.items():
            each = [found["mean_average_precision"][limit] for found in measured]
            assert value == pytest.approx(sum(each) / 2)
    none, kd = table.rows
    assert none.difference is None
    assert kd.difference is not None
    paired = [
        own.average - alone.average for own, alone in zip(kd.results, none.results, strict=True)
    ]
    assert kd.difference.mean == pytest.approx(sum(paired) / 2)
    assert kd.difference.p_value == sign_flip_p_value(paired)
    assert kd.published is not None
    assert kd.published.average == pytest.approx(0.331)


def test_make_table__weight_is_that_of_the_search(
    recipe: DetectionRecipe, table: DetectionTable
) -> None:
    found = table.searches["kd"]
    means = {tried.value: tried.mean for tried in found.candidates}
    assert list(means) == [0.1, 10.0]
    assert means[found.chosen] == max(means.values())
    scores = [tried["average"] for tried in found.to_json()["candidates"]]
    assert scores == [[tried.mean] for tried in found.candidates]
    summary = json.loads((Path(table.rows[1].results[0].folder) / "summary.json").read_text())
    assert summary["distiller"]["kd_weight"] == found.chosen
    tried = recipe.folder / "students" / "kd+10-seed0"
    assert json.loads((tried / "train.json").read_text())["average"] == means[10.0]
    assert not (tried / "evaluation.json").exists()


def test_make_table__again_trains_nothing(recipe: DetectionRecipe, table: DetectionTable) -> None:
    def stamps() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in (recipe.folder / "students").rglob("*")}

    before = stamps()
    assert make_detection_table(TABLE, recipe, TABLE.rows, SEEDS, search_seeds=(0,)) == table
    assert stamps() == before


def test_make_table__survives_json(table: DetectionTable) -> None:
    content = json.loads(json.dumps(table.to_json()))
    published = content["rows"][1]["published"]
    assert published["by_threshold"] == {"0.5": pytest.approx(0.246)}
    assert published["average"] == pytest.approx(0.331)
    assert content["teacher"]["average"] == table.teacher.average


def test_make_table__teacher_is_not_measured(
    tmp_path: Path, recipe: DetectionRecipe, table: DetectionTable
) -> None:
    elsewhere = recipe.model_copy(update={"workdir": tmp_path})
    for name in ("cache", "students"):
        (tmp_path / name).symlink_to(recipe.folder / name)
    (tmp_path / "teacher").mkdir()
    weights = recipe.folder / "teacher" / "model.safetensors"
    (tmp_path / "teacher" / "model.safetensors").symlink_to(weights)
    with pytest.raises(UsageError, match="is not evaluated; run: featkd evaluate"):
        make_detection_table(TABLE, elsewhere, TABLE.rows, SEEDS, search_seeds=(0,))


def test_train_students__a_process_opens_the_recipe_it_is_sent(recipe: DetectionRecipe) -> None:
    workspace = _workspace(recipe.model_dump_json())
    assert isinstance(workspace, DetectionWorkspace)
    assert workspace.recipe == recipe


def test_print__every_figure(table: DetectionTable, capsys: pytest.CaptureFixture[str]) -> None:
    print_made_table(table)
    printed = capsys.readouterr().out
    assert "1 videos, 1 segments of 2 classes" in printed
    for word in ("teacher", "alone", "KD", "kd_weight", "33.1", "0.5"):
        assert word in printed
