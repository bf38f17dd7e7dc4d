"""Tables on the tiny experiment: what is trained, what is not trained again, and what is said."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from featkd.errors import UsageError
from featkd.experiment import Workspace, evaluate_run, train_teacher
from featkd.experiment.student_pool import Student, train_students
from featkd.experiment.table import Table, make_table
from featkd.experiment.table_rows import choose_rows, with_rows
from featkd.extract import extract
from featkd.recipes import Recipe
from featkd.recipes.table import TableSpec

TABLE = TableSpec.model_validate(
    {
        "name": "tiny",
        "title": "A tiny table",
        "full": [],
        "mini": [],
        "rows": {
            "none": {"label": "alone", "distiller": {"kind": "none"}, "baseline": None},
            "kd": {
                "label": "KD",
                "distiller": {"kind": "kd"},
                "search": {"key": "kd_weight", "values": [0.1, 10.0]},
                "published": {"demo": 50.0},
            },
            "none_i2d": {
                "label": "I2D",
                "model": "i2d",
                "distiller": {"kind": "none"},
                "baseline": None,
            },
        },
    }
)
SEEDS = (0, 1)


@pytest.fixture(scope="module")
def recipe(
    tmp_path_factory: pytest.TempPathFactory, make_workspace: Callable[..., Workspace]
) -> Recipe:
    workspace = make_workspace(tmp_path_factory.mktemp("table"), "student.training.num_epochs=1")
    recipe = with_rows(workspace.recipe, TABLE.rows)
    workspace = Workspace(recipe)
    train_teacher(workspace)
    evaluate_run(workspace, workspace.teacher_folder)
    extract(workspace)
    return recipe


@pytest.fixture(scope="module")
def table(recipe: Recipe) -> Table:
    return make_table(TABLE, recipe, TABLE.rows, SEEDS, search_seeds=(0,))


def stamps(recipe: Recipe) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in (recipe.folder / "students").rglob("*")}


def test_make_table__every_row_has_every_seed(table: Table) -> None:
    assert [row.name for row in table.rows] == ["none", "kd", "none_i2d"]
    assert [row.model for row in table.rows] == ["top_i3d", "top_i3d", "i2d"]
    for row in table.rows:
        assert [result.seed for result in row.results] == list(SEEDS)
        assert row.mean == pytest.approx(sum(result.top1 for result in row.results) / 2)
    none, kd, i2d = table.rows
    assert kd.difference is not None
    paired = [r.top1 - n.top1 for r, n in zip(kd.results, none.results, strict=True)]
    assert kd.difference.mean == pytest.approx(sum(paired) / 2)
    assert kd.difference.num_pairs == 2
    assert none.difference is None
    assert i2d.difference is None
    assert kd.published == 0.5
    assert none.published is None


def test_make_table__weight_is_that_of_the_search(recipe: Recipe, table: Table) -> None:
    found = table.searches["kd"]
    assert [tried.value for tried in found.candidates] == [0.1, 10.0]
    means = {tried.value: tried.mean for tried in found.candidates}
    assert means[found.chosen] == max(means.values())
    assert found.split == recipe.data.validation_split
    kd = table.rows[1]
    assert kd.weight == ("kd_weight", found.chosen)
    summary = json.loads((Path(kd.results[0].folder) / "summary.json").read_text())
    assert summary["distiller"]["kd_weight"] == found.chosen
    # What is measured on the validation split is never an evaluation on the test split.
    tried = recipe.folder / "students" / "kd+10-seed0"
    assert (tried / "val.json").exists()
    assert not (tried / "evaluation.json").exists()


def test_make_table__again_trains_nothing(recipe: Recipe, table: Table) -> None:
    before = stamps(recipe)
    again = make_table(TABLE, recipe, TABLE.rows, SEEDS, search_seeds=(0,))
    assert again == table
    assert stamps(recipe) == before


def test_make_table__one_more_seed_trains_only_that(recipe: Recipe, table: Table) -> None:
    rows = choose_rows("tiny", TABLE.rows, ["none"])
    before = stamps(recipe)
    more = make_table(TABLE, recipe, rows, (*SEEDS, 2))
    assert more.rows[0].results[:2] == table.rows[0].results
    new = set(stamps(recipe)) - set(before)
    assert {path.relative_to(recipe.folder / "students").parts[0] for path in new} == {"none-seed2"}


def test_train_students__in_processes_as_here(recipe: Recipe, table: Table) -> None:
    students = [Student("none", seed) for seed in (5, 6)]
    split = recipe.data.validation_split
    elsewhere = train_students(recipe, students, split=split, num_processes=2)
    assert elsewhere == train_students(recipe, students, split=split)
    assert set(elsewhere) == set(students)


def test_table__survives_json(table: Table) -> None:
    content = json.loads(json.dumps(table.to_json()))
    assert content["rows"][1]["label"] == "KD"
    assert content["searches"]["kd"]["chosen"] == table.searches["kd"].chosen
    assert content["teacher_top1"] == table.teacher_top1


def test_choose_rows() -> None:
    assert list(choose_rows("tiny", TABLE.rows, ["kd"])) == ["none", "kd"]
    assert list(choose_rows("tiny", TABLE.rows, [])) == list(TABLE.rows)
    with pytest.raises(UsageError, match="no row mgd; it has none, kd, none_i2d"):
        choose_rows("tiny", TABLE.rows, ["mgd"])
