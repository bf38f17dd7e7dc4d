import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

Featkd = Callable[..., Result]


@pytest.fixture
def videos(workdir: Path, tmp_path: Path) -> Path:
    """A folder ``class/video`` with one file that is no video."""
    folder = tmp_path / "videos"
    for path in sorted((workdir / "data" / "videos" / "train").rglob("*.mp4")):
        (folder / path.parent.name).mkdir(parents=True, exist_ok=True)
        shutil.copy(path, folder / path.parent.name)
    (folder / "translate_left" / "broken.mp4").write_bytes(b"no video")
    return folder


def _build(featkd: Featkd, videos: Path, *more: object) -> Result:
    output = videos / "manifest.csv"
    return featkd("manifest", "build", videos, "--output", output, "--dataset", "mine", *more)


def test_build__writes_and_lists_rejected(featkd: Featkd, videos: Path) -> None:
    result = _build(featkd, videos)
    assert result.exit_code == 0, result.output
    assert "8 videos of 2 classes written to" in result.stdout
    assert "1 file rejected:\n  translate_left/broken.mp4: " in result.stdout
    assert "Reading videos: 9 videos" in result.stderr


def test_build__quiet_json_keeps_stdout_pure(featkd: Featkd, videos: Path) -> None:
    split = ("--split", "train=0.5", "--split", "test=0.5", "--seed", "3")
    result = _build(featkd, videos, *split, "--group-pattern", r"_(\d+)$", "--json", "--quiet")
    assert result.stderr == ""
    built = json.loads(result.stdout)
    assert list(built["rejected"]) == ["translate_left/broken.mp4"]
    assert set(built["splits"]) <= {"train", "test"}


def test_build__keeps_rejected_as_rows(featkd: Featkd, videos: Path) -> None:
    built = json.loads(_build(featkd, videos, "--keep-rejected", "--json").stdout)
    assert built["splits"]["train"]["videos"] == 9
    assert built["splits"]["train"]["unreadable"] == 1


def test_build__elsewhere_says_how_to_find_the_videos(
    featkd: Featkd, videos: Path, tmp_path: Path
) -> None:
    output = tmp_path / "manifest.parquet"
    result = featkd("manifest", "build", videos, "-o", output, "--dataset", "mine")
    assert f"data.root={videos}" in result.stdout
    assert featkd("manifest", "validate", output, "--root", videos, "--files").exit_code == 0
    assert featkd("manifest", "validate", output, "--files").exit_code == 1


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--split", "train"), "NAME=FRACTION"),
        (("--split", "train=x"), "NAME=FRACTION"),
        (("--split", "a=0.5", "--split", "a=0.5"), "twice"),
        (("--output", "m.txt"), ".parquet"),
        (("--output", "nowhere/m.csv"), "does not exist"),
    ],
)
def test_build__wrong_options(
    featkd: Featkd, videos: Path, options: tuple[str, ...], expected: str
) -> None:
    result = _build(featkd, videos, *options)
    assert result.exit_code == 2
    assert expected in result.stderr
    assert not (videos / "manifest.csv").exists()


def test_build__fractions_that_do_not_sum_to_one(featkd: Featkd, videos: Path) -> None:
    result = _build(featkd, videos, "--split", "train=0.5")
    assert result.exit_code == 1
    assert "expected 1" in result.stderr


def test_validate__sound_manifest(featkd: Featkd, workdir: Path) -> None:
    result = featkd("manifest", "validate", workdir / "data" / "manifest.csv", "--contents")
    assert result.exit_code == 0, result.output
    assert "14 rows, 0 errors, 0 warnings" in result.stdout


def test_validate__changed_file_is_an_error(featkd: Featkd, own_workdir: Path) -> None:
    path = own_workdir / "data" / "manifest.csv"
    video = next((own_workdir / "data").rglob("*.mp4"))
    video.write_bytes(b"damaged")
    assert featkd("manifest", "validate", path, "--files").exit_code == 0
    result = featkd("manifest", "validate", path, "--contents", "--json")
    assert result.exit_code == 1
    found = json.loads(result.stdout)
    assert {problem["video_id"] for problem in found["errors"]} == {video.stem}
    assert video.stem in featkd("manifest", "validate", path, "--contents").stdout


def test_validate__long_lists_are_cut(featkd: Featkd, own_workdir: Path) -> None:
    for video in (own_workdir / "data").rglob("*.mp4"):
        video.unlink()
    result = featkd("manifest", "validate", own_workdir / "data" / "manifest.csv", "--files")
    assert result.exit_code == 1
    assert result.stdout.count("there is none") == 10
    assert "and 4 more; --json lists all" in result.stdout


def test_show__header_and_splits(featkd: Featkd, workdir: Path) -> None:
    path = workdir / "data" / "manifest.csv"
    shown = json.loads(featkd("manifest", "show", path, "--json").stdout)
    assert shown["splits"]["test"] == {"videos": 4, "classes": 2, "frames": 64, "unreadable": 0}
    text = featkd("manifest", "show", path).stdout
    assert shown["digest"] in text
    assert "2 classes: translate_left, translate_right" in text
