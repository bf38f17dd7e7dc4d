import json
from collections.abc import Callable
from pathlib import Path

from click.testing import Result

Featkd = Callable[..., Result]


def test_stats__tables(featkd: Featkd, workdir: Path) -> None:
    result = featkd("manifest", "stats", workdir / "data" / "manifest.csv")
    assert result.exit_code == 0, result.output
    lines = [line.split() for line in result.stdout.splitlines()]
    assert ["train", "8", "2", "4", "128"] in [line[:5] for line in lines]
    assert ["frames", "16", "16", "16", "16", "16"] in lines
    assert ["32", "x", "32", "14"] in lines


def test_stats__json_and_page(featkd: Featkd, workdir: Path, tmp_path: Path) -> None:
    page = tmp_path / "stats.html"
    options = ("--html", page, "--json")
    result = featkd("manifest", "stats", workdir / "data" / "manifest.csv", *options)
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["classes"]["translate_left"] == {"train": 4, "val": 1, "test": 2}
    assert found["imbalance"] == 1.0
    assert found["resolutions"] == [{"width": 32, "height": 32, "videos": 14}]
    assert found["html"] == str(page)
    assert "translate_right, train: 4" in page.read_text()


def test_stats__a_page_that_cannot_be_written(featkd: Featkd, workdir: Path) -> None:
    options = ("--html", "nowhere/stats.html")
    result = featkd("manifest", "stats", workdir / "data" / "manifest.csv", *options)
    assert result.exit_code == 1
    assert "nowhere/stats.html does not exist" in result.stderr
