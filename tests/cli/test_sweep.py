import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

Featkd = Callable[..., Result]
Tiny = Callable[..., list[str]]


@pytest.fixture(scope="module")
def swept(
    featkd: Featkd, tiny: Tiny, workdir: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A work folder with two seeds of two distillers, one of them in two variants."""
    folder = tmp_path_factory.mktemp("swept") / "work"
    shutil.copytree(workdir, folder)
    result = featkd("sweep", "demo", *OPTIONS, *tiny(folder), "--json")
    assert result.exit_code == 0, result.output
    assert "3 students: " in result.stderr
    rows = json.loads(result.stdout)["students"]
    assert [(row["name"], row["seed"]) for row in rows] == [
        (name, seed) for seed in (0, 1) for name in ("none", "kd+tau_2", "kd+tau_4.5")
    ]
    for row in rows:
        assert row["state"] == "trained"
        assert row["error"] is row["test_top1"] is None
        assert row["num_epochs"] == 1
        assert row["train_loss"] > 0
        assert 0 <= row["train_top1"] <= 1
        assert (Path(row["folder"]) / "model.safetensors").is_file()
    return folder


OPTIONS = ("--distillers", "none,kd", "--seeds", "0,1", "--vary", "distillers.kd.tau=2,4.5")


def test_sweep__again_says_so_and_evaluates(featkd: Featkd, tiny: Tiny, swept: Path) -> None:
    result = featkd("sweep", "demo", *OPTIONS, *tiny(swept), "--evaluate")
    assert result.exit_code == 0, result.output
    assert result.stdout.count("was finished already") == 6
    evaluations = sorted((swept / "students").glob("*/evaluation.json"))
    assert len(evaluations) == 6
    top1 = [json.loads(path.read_text())["top1"] for path in evaluations]
    shown = json.loads(featkd("sweep", "demo", *OPTIONS, *tiny(swept), "--json").stdout)
    rows = {f"{row['name']}-seed{row['seed']}": row["test_top1"] for row in shown["students"]}
    assert [rows[path.parent.name] for path in evaluations] == top1


def test_sweep__a_variant_can_be_distilled_from_its_recipe(featkd: Featkd, swept: Path) -> None:
    recipe = swept / "students" / "kd+tau_4.5-seed1" / "recipe.yaml"
    result = featkd("distill", recipe, "--distiller", "kd+tau_4.5", "--seed", "1")
    assert result.exit_code == 0, result.output
    assert "was finished already" in result.stdout


def test_sweep__compare_takes_variants_for_methods(featkd: Featkd, tiny: Tiny, swept: Path) -> None:
    featkd("evaluate", "demo", *tiny(swept))
    comparison = json.loads(featkd("compare", swept, "--json").stdout)
    assert {group["name"] for group in comparison["groups"]} == {
        "teacher", "none", "kd+tau_2", "kd+tau_4.5",
    }  # fmt: skip


def test_sweep__failed_students_are_listed(featkd: Featkd, tiny: Tiny, own_workdir: Path) -> None:
    options = ("--distillers", "none", "--vary", "student.training.batch_size=4,64")
    result = featkd("sweep", "demo", *options, *tiny(own_workdir))
    assert result.exit_code == 1
    assert (
        "1 of 2 students failed:\n  none+training.batch_size_64, seed 0: error: " in result.stdout
    )
    assert "expected at least one batch of 64" in result.stdout
    assert "Traceback" not in result.output
    assert (
        own_workdir / "students" / "none+training.batch_size_4-seed0" / "summary.json"
    ).is_file()
    again = featkd("--debug", "sweep", "demo", *options, *tiny(own_workdir), "--json", "--quiet")
    assert again.exit_code == 1
    assert [row["state"] for row in json.loads(again.stdout)["students"]] == ["finished", "failed"]
    assert "Traceback" in again.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--seeds", "0,x"), "expected numbers such as 0,1,2"),
        (("--seeds", "-1"), "expected seeds of at least 0"),
        (("--vary", "distillers.kd.tau"), "expected KEY=V1,V2"),
        (("--vary", "distillers.kd.tau="), "expected KEY=V1,V2"),
        (("--vary", "distillers.kd.tau=[1"), "expected KEY=V1,V2"),
        (("--vary", "a=1", "--vary", "a=2"), "each key once"),
        (("--max-together", "0"), "0 is not in the range"),
    ],
)
def test_sweep__wrong_options(
    featkd: Featkd, tiny: Tiny, workdir: Path, options: tuple[str, ...], message: str
) -> None:
    result = featkd("sweep", "demo", *options, *tiny(workdir))
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--distillers", "kd,sorcery"), "'sorcery' is not in recipe 'demo'"),
        (("--vary", "seed=1,2"), "expected a key below student.* or distillers.none.*"),
        (("--vary", "distillers.sorcery.tau=1"), "belongs to none of"),
        (("--vary", "student.model.widht=1"), "student.model.widht is an unknown key"),
    ],
)
def test_sweep__wrong_students(
    featkd: Featkd, tiny: Tiny, workdir: Path, options: tuple[str, ...], message: str
) -> None:
    result = featkd("sweep", "demo", *options, *tiny(workdir))
    assert result.exit_code == 1
    assert message in result.stderr
    assert not (workdir / "students").exists()
