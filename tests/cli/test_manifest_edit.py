import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

Featkd = Callable[..., Result]


@pytest.fixture
def path(own_workdir: Path) -> Path:
    """A manifest of two classes: 8 train, 2 val, 4 test."""
    return own_workdir / "data" / "manifest.csv"


def _written(result: Result) -> dict:
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_split__draws_the_same_twice(featkd: Featkd, path: Path) -> None:
    shares = ("--split", "train=0.5", "--split", "test=0.5", "--seed", 3, "--json")
    one = _written(featkd("manifest", "split", path, "-o", path.with_name("1.csv"), *shares))
    other = _written(featkd("manifest", "split", path, "-o", path.with_name("2.parquet"), *shares))
    assert one["digest"] == other["digest"]
    counts = {split: counts["videos"] for split, counts in one["splits"].items()}
    assert sum(counts.values()) == 14
    assert 5 <= counts["train"] <= 9


def test_split__of_train_in_words(featkd: Featkd, path: Path) -> None:
    options = ("--of", "train", "--split", "train=0.75", "--split", "dev=0.25")
    result = featkd("manifest", "split", path, "-o", path, *options)
    assert result.exit_code == 0, result.output
    assert "14 videos of 2 classes written to" in result.stdout
    assert "paths start from" not in result.stdout
    shown = _written(featkd("manifest", "show", path, "--json"))
    assert shown["splits"]["dev"]["videos"] == 2
    assert shown["splits"]["test"]["videos"] == 4


def test_subset__of_a_list_of_ids(featkd: Featkd, path: Path) -> None:
    output = path.with_name("mini.csv")
    whole = featkd("manifest", "show", path, "--head", 3, "--json")
    ids = [row["video_id"] for row in _written(whole)["rows"]]
    names = path.with_name("ids.txt")
    names.write_text("\n".join([*ids, ids[0], ""]), encoding="utf-8")
    taken = _written(featkd("manifest", "subset", path, "-o", output, "--ids", names, "--json"))
    assert sum(counts["videos"] for counts in taken["splits"].values()) == 3


def test_subset__renumbers(featkd: Featkd, path: Path) -> None:
    output = path.with_name("mini.csv")
    options = ("--class", "translate_right", "--per-class", 1, "--renumber", "--json")
    taken = _written(featkd("manifest", "subset", path, "-o", output, *options))
    assert taken["classes"] == 1
    assert {counts["videos"] for counts in taken["splits"].values()} == {1}


def test_merge__of_two_halves_is_the_whole(featkd: Featkd, path: Path) -> None:
    halves = []
    for split in ("train", "test"):
        halves.append(path.with_name(f"{split}.csv"))
        assert not featkd("manifest", "subset", path, "-o", halves[-1], "--split", split).exit_code
    output = path.with_name("whole.csv")
    merged = _written(featkd("manifest", "merge", *halves, "-o", output, "--json"))
    assert merged["splits"]["train"]["videos"] == 8
    assert merged["splits"]["test"]["videos"] == 4
    twice = featkd("manifest", "merge", halves[0], halves[0], "-o", output)
    assert twice.exit_code == 1
    assert "and 7 other ids" in twice.stderr
    assert not featkd("manifest", "validate", output, "--files").exit_code


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("split", "M", "-o", "x.csv", "--split", "train"), "NAME=FRACTION"),
        (("split", "M", "-o", "x.csv", "--split", "a=0.5", "--split", "a=0.5"), "twice"),
        (("split", "M", "-o", "x.txt", "--split", "a=1"), ".parquet"),
        (("subset", "M", "-o", "nowhere/x.csv"), "does not exist"),
    ],
)
def test_edit__wrong_options(
    featkd: Featkd, tmp_path: Path, words: tuple[str, ...], expected: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    result = featkd("manifest", *words)
    assert result.exit_code == 2
    assert expected in result.stderr


def test_diff__exit_status_is_that_of_diff(featkd: Featkd, path: Path) -> None:
    same = featkd("manifest", "diff", path, path)
    assert (same.exit_code, same.stdout) == (0, f"{path} and {path} hold the same\n")
    missing = featkd("manifest", "diff", path, path.with_name("none.csv"))
    assert missing.exit_code == 2
    assert missing.stderr.startswith("error: ")
    assert "none.csv does not exist" in missing.stderr


def test_diff__in_words_and_json(featkd: Featkd, path: Path) -> None:
    other = path.with_name("other.csv")
    options = ("--split", "train=0.5", "--split", "dev=0.5")
    featkd("manifest", "split", path, "-o", other, *options)
    result = featkd("manifest", "diff", path, other)
    assert result.exit_code == 1
    assert "0 rows removed, 0 added, " in result.stdout
    assert "header:\n  protocol: " in result.stdout
    found = json.loads(featkd("manifest", "diff", path, other, "--json").stdout)
    assert not found["equal"]
    assert set(found["changed_by_field"]) == {"split"}
    assert "'val' -> 'dev'" in result.stdout or "'test' -> 'dev'" in result.stdout


def test_show__first_rows(featkd: Featkd, path: Path) -> None:
    lines = featkd("manifest", "show", path, "--head", 2).stdout.splitlines()
    heading = next(number for number, line in enumerate(lines) if line.startswith("video_id"))
    assert len([line for line in lines[heading + 2 :] if line.strip()]) == 2
