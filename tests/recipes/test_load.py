from pathlib import Path

import pytest

from featkd.errors import RecipeError
from featkd.recipes import dump_recipe, load_any_recipe, load_recipe, shipped_recipes


@pytest.mark.parametrize("name", sorted(shipped_recipes()))
def test_shipped_recipe__loads_and_survives_a_round_trip(name: str, tmp_path: Path) -> None:
    recipe = load_any_recipe(name)
    assert recipe.name == name
    assert recipe.description
    path = tmp_path / "again.yaml"
    path.write_text(dump_recipe(recipe))
    assert load_any_recipe(path) == recipe


def test_set__reaches_any_depth_and_creates_sections() -> None:
    recipe = load_recipe(
        "demo",
        ["student.model.width=0.5", "distillers.kd.tau=2", "extract.taps=[Mixed_4f.pooled]"],
    )
    assert recipe.student.model.width == 0.5
    assert recipe.distillers["kd"].model_dump()["tau"] == 2.0
    assert recipe.extract.taps == ("Mixed_4f.pooled",)


@pytest.mark.parametrize(
    ("override", "words"),
    [
        pytest.param("seeed=3", "seeed is an unknown key", id="unknown key"),
        pytest.param("teacher.model.depth=3", r"teacher\.model\.depth is an unknown", id="nested"),
        pytest.param("student.model.width=-1", r"student\.model\.width is -1", id="bound"),
        pytest.param("student.model.name=x3d", r"student\.model\.name is 'x3d'", id="choice"),
        pytest.param("distillers.kd.kind=sorcery", "sorcery", id="distiller"),
        pytest.param("extract.taps=[Mixed_5c.median]", "median", id="tap"),
        pytest.param("views.evaluate.num_frames=8", "num_frames is 16", id="frames differ"),
        pytest.param("name=../up", "name is '../up'", id="name leaves the folder"),
        pytest.param("seed", "expected key=value", id="no value"),
        pytest.param("seed.x=1", "no keys below", id="below a value"),
        pytest.param("seed=[1", "not YAML", id="not yaml"),
    ],
)
def test_set__wrong_values_are_named(override: str, words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        load_recipe("demo", [override])


@pytest.mark.parametrize(
    ("content", "words"),
    [
        pytest.param(b"- a\n- b\n", "holds list", id="list"),
        pytest.param(b"", "holds NoneType", id="empty"),
        pytest.param(b"a: [", "is not YAML", id="broken"),
        pytest.param(b"\xff\xfe\x00", "not UTF-8", id="binary"),
        pytest.param(b"name: x\n", "data is missing; distillers is missing", id="missing"),
        pytest.param(b"!!python/object/apply:os.system [ls]", "is not YAML", id="code"),
    ],
)
def test_load_recipe__wrong_files_are_named(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_bytes(content)
    with pytest.raises(RecipeError, match=words) as caught:
        load_recipe(path)
    assert str(path) in str(caught.value)


def test_load_recipe__neither_file_nor_shipped(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"shipped are .*demo"):
        load_recipe("nonsense")
    with pytest.raises(RecipeError, match="is a directory"):
        load_recipe(tmp_path)
