"""``featkd experiment`` and ``featkd distillers``."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from featkd.distillers import DISTILLERS

Featkd = Callable[..., Result]
Tiny = Callable[..., list[str]]

METHODS = ("none", "kd", "fn", "simkd")
ROWS = [word for name in METHODS[1:] for word in ("--row", name)]


@pytest.fixture(scope="module")
def made(
    featkd: Featkd, tiny: Tiny, workdir: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Result]:
    """A table of a work folder that has a teacher and a cache without pooled features."""
    folder = tmp_path_factory.mktemp("table") / "work"
    shutil.copytree(workdir, folder)
    result = featkd(
        "experiment", "table1", "--recipe", "demo", *ROWS, "--seeds", "0,1", *tiny(folder)
    )
    return folder, result


def test_experiment__prints_every_row_and_leaves_files(made: tuple[Path, Result]) -> None:
    folder, result = made
    assert result.exit_code == 0, result.output
    assert "2 seeds cannot give less than 0.5" in result.stdout
    for label in ("student alone", "KD", "FN", "SimKD"):
        assert label in result.stdout
    content = json.loads((folder / "table1.json").read_text())
    assert [row["name"] for row in content["rows"]] == list(METHODS)
    assert set(content["searches"]) == set(METHODS[1:])
    assert (folder / "table1.html").read_text().startswith("<!DOCTYPE html>")
    simkd = content["rows"][-1]
    assert simkd["gmac"] > content["rows"][0]["gmac"], "the projector is kept, and counts"


def test_experiment__again_says_the_same_as_json(
    featkd: Featkd, tiny: Tiny, made: tuple[Path, Result]
) -> None:
    folder, _ = made
    result = featkd(
        "experiment", "table1", "--recipe", "demo", *ROWS, "--seeds", "0,1", *tiny(folder),
        "--json", "--quiet",
    )  # fmt: skip
    assert result.stderr == ""
    assert json.loads(result.stdout) == [json.loads((folder / "table1.json").read_text())]


def test_experiment__lists_tables(featkd: Featkd) -> None:
    assert "table5" in featkd("experiment").stdout
    listed = json.loads(featkd("experiment", "--json").stdout)
    assert listed["table1"]["rows"]["fn"]["distiller"]["kind"] == "fn"


@pytest.mark.parametrize(
    ("arguments", "exit_status", "message"),
    [
        (("table9",), 1, "expected one of table1"),
        (("table1", "--row", "nobody"), 1, "has no row nobody"),
        (("table1", "--seeds", "a"), 2, "expected numbers such as 0,1,2"),
        (("table1", "--seeds", "-1"), 2, "at least 0"),
        (("table1", "--seeds", ""), 2, "expected numbers"),
    ],
)
def test_experiment__wrong(
    featkd: Featkd, arguments: tuple[str, ...], exit_status: int, message: str
) -> None:
    result = featkd("experiment", *arguments)
    assert result.exit_code == exit_status
    assert message in result.stderr


def test_distillers__lists_all_with_their_needs(featkd: Featkd) -> None:
    listed = {item["name"]: item for item in json.loads(featkd("distillers", "--json").stdout)}
    assert set(listed) == set(DISTILLERS)
    assert listed["simkd"]["modules"] == ["classifier"]
    assert listed["simkd"]["student"] == ["projector"]
    assert listed["generative"]["cached"] == ["attention/Mixed_5c"]
    table = featkd("distillers").stdout
    for name, item in listed.items():
        assert name in table
        assert all(alias in table for alias in item["aliases"])
