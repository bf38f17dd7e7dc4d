"""Colours or flow: what a recipe may combine."""

import pytest

from featkd.errors import RecipeError
from featkd.recipes import dump_recipe, load_any_recipe, load_recipe

FLOW = (
    "data.flow=flow",
    "teacher.preprocess.modality=flow",
    "student.preprocess.modality=flow",
)


def test_flow__has_two_channels(tmp_path):
    recipe = load_recipe("demo", FLOW)
    assert recipe.teacher.preprocess.num_channels == 2
    assert recipe.teacher.preprocess.mean == recipe.student.preprocess.std == (0.5, 0.5)
    path = tmp_path / "again.yaml"
    path.write_text(dump_recipe(recipe))
    assert load_recipe(path) == recipe


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        pytest.param(FLOW[1:], r"data\.flow is not set", id="no folder"),
        pytest.param(FLOW[:2], "expected the same: a student sees", id="student on colours"),
        pytest.param(
            (*FLOW, "extract.frames={size: 32, image: jpeg}"), "expected lossless", id="jpeg"
        ),
        pytest.param(
            (*FLOW, "teacher.preprocess.mean=[0.5, 0.5, 0.5]"), "mean has 3 values", id="mean"
        ),
        pytest.param(
            ("teacher.preprocess.std=[0.5, 0.5]",), "std has 2 values; expected 3", id="std"
        ),
        pytest.param(("teacher.preprocess.modality=audio",), "modality is 'audio'", id="unknown"),
    ],
)
def test_flow__wrong_combinations_are_named(overrides, words):
    with pytest.raises(RecipeError, match=words):
        load_recipe("demo", overrides)


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        pytest.param(FLOW[1:], r"data\.flow is not set", id="no folder"),
        pytest.param(FLOW[:2], "expected the same: a student sees", id="student on colours"),
        pytest.param(
            (*FLOW, "extract.frames={size: 32, image: jpeg}"), "expected lossless", id="jpeg"
        ),
    ],
)
def test_flow__wrong_combinations_are_named_for_detection(overrides, words):
    with pytest.raises(RecipeError, match=words):
        load_any_recipe("thumos14", overrides)
