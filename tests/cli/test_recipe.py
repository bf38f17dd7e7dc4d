import json
from collections.abc import Callable
from pathlib import Path

import yaml
from click.testing import Result

Featkd = Callable[..., Result]


def test_list__names_and_describes(featkd: Featkd) -> None:
    described = json.loads(featkd("recipe", "list", "--json").stdout)
    assert "synthetic" in described["demo"]
    assert described["demo"] in featkd("recipe", "list").stdout


def test_show__resolves_defaults_and_overrides(featkd: Featkd) -> None:
    result = featkd("recipe", "show", "demo", "--set", "student.model.width=0.5")
    shown = yaml.safe_load(result.stdout)
    assert shown["student"]["model"]["width"] == 0.5
    assert shown["extract"]["dtype"] == "float16"
    as_json = featkd("recipe", "show", "demo", "--set", "student.model.width=0.5", "--json")
    assert json.loads(as_json.stdout) == shown


def test_copy__then_validate(featkd: Featkd, tmp_path: Path) -> None:
    target = tmp_path / "mine.yaml"
    assert featkd("recipe", "copy", "demo", target).exit_code == 0
    assert "#" in target.read_text()  # comments came along
    result = featkd("recipe", "validate", target)
    assert result.exit_code == 0
    assert "valid" in result.stdout
    assert json.loads(featkd("recipe", "validate", target, "--json").stdout)["valid"] is True


def test_copy__never_overwrites(featkd: Featkd, tmp_path: Path) -> None:
    target = tmp_path / "mine.yaml"
    target.write_text("mine")
    result = featkd("recipe", "copy", "demo", target)
    assert result.exit_code == 1
    assert "exists already" in result.stderr
    assert target.read_text() == "mine"


def test_copy__unknown_name(featkd: Featkd, tmp_path: Path) -> None:
    result = featkd("recipe", "copy", "nothing", tmp_path / "mine.yaml")
    assert result.exit_code == 1
    assert "shipped are" in result.stderr
    assert not (tmp_path / "mine.yaml").exists()


def test_copy__into_a_missing_folder(featkd: Featkd, tmp_path: Path) -> None:
    result = featkd("recipe", "copy", "demo", tmp_path / "no" / "mine.yaml")
    assert result.exit_code == 1
    assert "does not exist" in result.stderr


def test_validate__unknown_key(featkd: Featkd, tmp_path: Path) -> None:
    target = tmp_path / "mine.yaml"
    featkd("recipe", "copy", "demo", target)
    target.write_text(target.read_text() + "colour: red\n")
    result = featkd("recipe", "validate", target)
    assert result.exit_code == 1
    assert "colour is an unknown key" in result.stderr
