"""``featkd manifest build --lists`` and what ``validate`` says of the result."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from featkd.manifest import shipped_descriptor

Featkd = Callable[..., Result]


@pytest.fixture
def videos(workdir: Path, tmp_path: Path) -> Path:
    """Eight videos of two classes, called as UCF101 calls them."""
    folder = tmp_path / "UCF-101"
    sources = sorted((workdir / "data" / "videos" / "train").rglob("*.mp4"))
    for index, source in enumerate(sources):
        name = ("Archery", "HandstandPushups")[index % 2]
        (folder / name).mkdir(parents=True, exist_ok=True)
        path = folder / name / f"v_{name}_g{index + 5:02}_c01.mp4"
        path.write_bytes(source.read_bytes())
    return folder


@pytest.fixture
def lists(videos: Path, tmp_path: Path) -> Path:
    """The official lists of fold 1 for these videos; the files there are .avi."""
    folder = tmp_path / "ucfTrainTestlist"
    folder.mkdir()
    classes = shipped_descriptor("ucf101").classes
    numbered = (f"{number} {name}\n" for number, name in enumerate(classes, start=1))
    (folder / "classInd.txt").write_text("".join(numbered), encoding="utf-8")
    lines: dict[str, str] = {"train": "", "test": ""}
    for path in sorted(videos.rglob("*.mp4")):
        name = f"{path.parent.name}/{path.stem.replace('v_HandstandP', 'v_HandStandP')}.avi"
        if int(path.stem.split("_g")[1][:2]) <= 7:
            lines["test"] += f"{name}\n"
        else:
            lines["train"] += f"{name} {classes.index(path.parent.name) + 1}\n"
    for split, text in lines.items():
        (folder / f"{split}list01.txt").write_text(text, encoding="utf-8")
    return folder


def _build(featkd: Featkd, videos: Path, output: Path, *more: object) -> Result:
    return featkd("manifest", "build", videos, "-o", output, "--dataset", "ucf101", *more)


def test_build__lists_and_groups_agree(
    featkd: Featkd, videos: Path, lists: Path, tmp_path: Path
) -> None:
    by_lists = _build(featkd, videos, tmp_path / "l.csv", "--lists", lists, "--json")
    assert by_lists.exit_code == 0, by_lists.output
    by_group = _build(featkd, videos, tmp_path / "g.csv", "--fold", "1", "--json")
    built = json.loads(by_lists.stdout)
    assert built["digest"] == json.loads(by_group.stdout)["digest"]
    assert {split: one["videos"] for split, one in built["splits"].items()} == {
        "train": 5,
        "test": 3,
    }
    assert any("4 names differ in case" in one["message"] for one in built["warnings"])
    assert {path.name for path in tmp_path.iterdir()} == {
        "UCF-101", "ucfTrainTestlist", "l.csv", "g.csv",
    }  # fmt: skip


def test_validate__of_lists(featkd: Featkd, videos: Path, lists: Path) -> None:
    path = videos / "m.csv"
    assert _build(featkd, videos, path, "--lists", lists).exit_code == 0
    result = featkd("manifest", "validate", path, "--contents", "--lists", lists, "--json")
    assert result.exit_code == 0, result.output
    warnings = json.loads(result.stdout)["warnings"]
    told = [one["message"] for one in warnings if one["field"] != "label"]
    assert "split 'train' has 5 rows; expected 9537, as fold 1 of ucf101 has" in told
    assert any("for the class 'HandstandPushups'" in message for message in told)
    extra = videos / "Archery" / "extra.mp4"
    extra.write_bytes(b"")
    path.write_text(path.read_text("utf-8").replace(",test,", ",train,"), encoding="utf-8")
    result = featkd("manifest", "validate", path, "--files", "--lists", lists, "--json")
    assert result.exit_code == 1
    found = json.loads(result.stdout)
    assert {one["field"] for one in found["errors"]} == {"split"}
    assert any("extra.mp4 lies below the root" in one["message"] for one in found["warnings"])


def test_build__missing_videos_are_rejected_or_kept(
    featkd: Featkd, videos: Path, lists: Path
) -> None:
    next(videos.rglob("*_g05_*")).unlink()
    built = json.loads(_build(featkd, videos, videos / "m.csv", "--lists", lists, "--json").stdout)
    assert list(built["rejected"].values()) == ["is listed, but there is no such file"]
    more = ("--lists", lists, "--keep-rejected", "--json")
    kept = json.loads(_build(featkd, videos, videos / "m.csv", *more).stdout)
    assert kept["splits"]["test"]["unreadable"] == 1


def test_build__plain_list_of_an_own_dataset(featkd: Featkd, videos: Path, tmp_path: Path) -> None:
    names = [path.relative_to(videos).as_posix() for path in sorted(videos.rglob("*.mp4"))]
    (tmp_path / "val.csv").write_text("".join(f"{name} 1\n" for name in names), encoding="utf-8")
    (tmp_path / "classes.txt").write_text("still\nmoving\n", encoding="utf-8")
    arguments = ("manifest", "build", videos, "-o", videos / "m.csv", "--dataset", "mine")
    arguments += ("--lists", tmp_path / "val.csv", "--format", "paths")
    result = featkd(*arguments)
    assert result.exit_code == 1
    assert "'mine' has no descriptor" in result.stderr
    result = featkd(*arguments, "--classes", tmp_path / "classes.txt", "--json")
    assert json.loads(result.stdout)["splits"]["val"]["videos"] == 8, result.output
    lists = ("--lists", tmp_path / "val.csv", "--format", "paths")
    result = featkd("manifest", "validate", videos / "m.csv", *lists, "--json")
    assert json.loads(result.stdout)["errors"] == []
    (tmp_path / "val.csv").write_text(f"{names[0]} 0\n", encoding="utf-8")
    result = featkd("manifest", "validate", videos / "m.csv", *lists, "--json")
    assert [one["field"] for one in json.loads(result.stdout)["errors"]] == ["class_name"]


def test_build__annotations_lie_beside_the_manifest(
    featkd: Featkd, videos: Path, tmp_path: Path
) -> None:
    for number, path in enumerate(sorted(videos.rglob("*.mp4"))[:2]):
        name = ("video_validation_0000001", "video_test_0000002")[number]
        path.rename(videos / f"{name}.mp4")
    lists = tmp_path / "thumos"
    lists.mkdir()
    (lists / "Diving_val.txt").write_text("video_validation_0000001 0.1 0.5\n", encoding="utf-8")
    test = "video_test_0000002 0.2 99.5\nvideo_test_0000003 1 2\n"  # the second is not there
    (lists / "Diving_test.txt").write_text(test, encoding="utf-8")
    arguments = ("manifest", "build", videos, "-o", videos / "m.csv", "--dataset", "thumos14")
    result = featkd(*arguments, "--lists", lists)
    assert "2 segments written beside it" in result.stdout, result.output
    assert (videos / "m.annotations.csv").exists()
    result = featkd("manifest", "validate", videos / "m.csv", "--json")
    assert result.exit_code == 0, result.output
    warnings = json.loads(result.stdout)["warnings"]
    assert [one["video_id"] for one in warnings if one["field"] == "end_sec"] == [
        "video_test_0000002"
    ]
    assert any("has 1 segments; expected 3007" in one["message"] for one in warnings)
    result = featkd("manifest", "validate", videos / "m.csv", "--lists", lists, "--json")
    found = json.loads(result.stdout)
    assert found["errors"] == []
    assert any("video_test_0000003 is listed" in one["message"] for one in found["warnings"])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--fold", "1", "--split", "train=1"), "contradict"),
        (("--format", "paths"), "--lists is missing"),
    ],
)
def test_build__options_that_contradict(
    featkd: Featkd, videos: Path, options: tuple[str, ...], words: str
) -> None:
    result = _build(featkd, videos, videos / "m.csv", *options)
    assert result.exit_code == 2
    assert words in result.stderr
    assert not (videos / "m.csv").exists()
