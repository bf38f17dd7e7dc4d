from collections.abc import Callable
from pathlib import Path

import pytest

from featkd.errors import UsageError
from featkd.experiment import Member, Workspace, vary
from featkd.recipes import load_recipe


def workspace() -> Workspace:
    return Workspace(load_recipe("demo"))


@pytest.mark.parametrize(
    ("overrides", "name"),
    [
        ((), "kd"),
        (("distillers.kd.tau=2",), "kd+tau_2"),
        (("distillers.kd.tau=2.50", "student.model.width=0.5"), "kd+tau_2.50+model.width_0.5"),
        (('student.model.name="i2d"',), "kd+model.name_i2d"),
        (("student.training.optimiser={kind: sgd}",), "kd+training.optimiser_kind_sgd"),
    ],
)
def test_member__name_can_be_a_folder_and_a_key_of_a_recipe(
    overrides: tuple[str, ...], name: str
) -> None:
    member = Member("kd", 0, overrides)
    assert member.name == name
    recipe = member.workspace(workspace()).recipe
    assert name in load_recipe("demo", [f"distillers={{{name}: {{kind: kd}}}}"]).distillers
    assert name in recipe.distillers


def test_member__its_recipe_knows_it_by_its_name() -> None:
    base = workspace()
    assert Member("kd", 0).workspace(base) is base
    varied = Member("kd", 0, ("distillers.kd.tau=2", "student.model.width=0.5")).workspace(base)
    expected = load_recipe("demo", ["student.model.width=0.5"])
    name = "kd+tau_2+model.width_0.5"
    assert varied.recipe.distillers[name].tau == 2.0
    assert varied.recipe.student == expected.student
    others = {key: spec for key, spec in varied.recipe.distillers.items() if key != name}
    assert others == base.recipe.distillers
    same = {"distillers": base.recipe.distillers, "student": base.recipe.student}
    assert varied.recipe.model_copy(update=same) == base.recipe
    assert base.recipe == load_recipe("demo")


def test_vary__every_combination_once() -> None:
    values = {"distillers.kd.tau": [1, 2.5], "student.model.name": ["i2d"]}
    assert vary(["none", "kd", "none"], [1, 0, 1], values) == [
        Member(distiller, seed, overrides)
        for seed in (1, 0)
        for distiller, overrides in (
            ("none", ('student.model.name="i2d"',)),
            ("kd", ("distillers.kd.tau=1", 'student.model.name="i2d"')),
            ("kd", ("distillers.kd.tau=2.5", 'student.model.name="i2d"')),
        )
    ]


def test_vary__a_key_of_nobody_is_refused() -> None:
    with pytest.raises(UsageError, match=r"distillers\.at\.beta is varied.* none of none, kd"):
        vary(["none", "kd"], [0], {"distillers.at.beta": [1]})
    with pytest.raises(UsageError, match=r"distillers\.kd_2\.tau is varied"):
        vary(["kd"], [0], {"distillers.kd_2.tau": [1]})


def test_with_students__shares_manifest_and_views(
    tmp_path: Path, make_workspace: Callable[..., Workspace]
) -> None:
    base = make_workspace(tmp_path)
    question = ("train", base.recipe.views.train, (32,))
    views = base.rendered(*question)
    varied = Member("kd", 0, ("distillers.kd.tau=2",)).workspace(base)
    assert varied.recipe != base.recipe
    assert varied.rendered(*question) is views
    assert varied.manifest is base.manifest
