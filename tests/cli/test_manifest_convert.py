import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from featkd.manifest import compare_manifests, read_manifest

Featkd = Callable[..., Result]


@pytest.fixture
def path(own_workdir: Path) -> Path:
    """A manifest of 14 videos in two classes and three splits."""
    return own_workdir / "data" / "manifest.csv"


def _json(result: Result) -> dict:
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.mark.parametrize("name", ["mmaction2", "slowfast", "pytorchvideo"])
def test_convert__lists_and_back(featkd: Featkd, path: Path, name: str) -> None:
    lists, back = path.with_name("lists"), path.with_name("back.csv")
    refused = featkd("manifest", "convert", path, lists, "--to", name)
    assert refused.exit_code == 1
    assert "--whole-files takes rows for their files" in refused.stderr
    options = ("--to", name, "--whole-files", "--json")
    there = _json(featkd("manifest", "convert", path, lists, *options))
    assert "num_frames" in there["left_out"]
    assert "header.protocol" in there["left_out"]
    options = ("--from", name, "--root", path.parent, "--json")
    again = _json(featkd("manifest", "convert", lists, back, *options))
    assert again["splits"] == there["splits"]
    before, after = read_manifest(path), read_manifest(back)
    found = compare_manifests(before, after)
    # Ids come from the paths; all else that is not said anew is what the files say.
    assert not found.classes
    columns = ["path", "label", "split", "num_frames", "fps", "width", "height", "sha256"]
    one, other = (m.table[columns].sort_values("path", ignore_index=True) for m in (before, after))
    assert one.equals(other)


def test_convert__videofolder_with_links(featkd: Featkd, path: Path) -> None:
    folder, back = path.with_name("hf"), path.with_name("back.parquet")
    result = featkd("manifest", "convert", path, folder, "--to", "videofolder", "--link-videos")
    assert result.exit_code == 0, result.output
    assert "left out, as videofolder does not hold it: header.version" in result.stdout
    assert "14 links to videos made" in result.stdout
    back_again = featkd(
        "manifest", "convert", folder, back, "--from", "videofolder", "--root", folder
    )
    assert back_again.exit_code == 0, back_again.output
    assert "Reading videos" not in back_again.stderr
    assert featkd("manifest", "validate", back, "--root", folder, "--contents").exit_code == 0
    found = compare_manifests(read_manifest(path), read_manifest(back))
    assert found.removed == found.added == ()
    assert set(found.num_changed()) <= {"path"}


def test_convert__croissant_and_back(featkd: Featkd, path: Path) -> None:
    folder, back = path.with_name("croissant"), path.with_name("back.csv")
    result = featkd("manifest", "convert", path, folder, "--to", "croissant")
    assert result.exit_code == 0, result.output
    assert "left out" not in result.stdout
    assert f"the paths start from {path.parent}" in result.stdout
    options = ("--from", "croissant", "--root", path.parent)
    assert featkd("manifest", "convert", folder, back, *options).exit_code == 0
    assert featkd("manifest", "diff", path, back).exit_code == 0
    description = folder / "croissant.json"
    description.write_text(description.read_text().replace('"sha256": "', '"sha256": "0'))
    changed = featkd("manifest", "convert", folder, back, *options)
    assert changed.exit_code == 1
    assert "another checksum" in changed.stderr


def test_convert__lists_of_other_names_and_unreadable_videos(featkd: Featkd, path: Path) -> None:
    folder = path.parent
    videos = sorted(video.relative_to(folder).as_posix() for video in folder.rglob("*.mp4"))
    (folder / "gone.mp4").write_bytes(b"no video")
    (folder / "mine.txt").write_text(f"{videos[0]} 0\ngone.mp4 1\n")
    (folder / "names.txt").write_text("left\nright\n")
    options = ("--from", "mmaction2", "--list", "train=mine.txt", "--classes", "names.txt")
    result = featkd("manifest", "convert", folder, folder / "new.csv", *options)
    assert result.exit_code == 0, result.output
    assert "1 video of 2 classes written" in result.stdout
    assert "1 file rejected:\n  gone.mp4: " in result.stdout
    kept = _json(
        featkd(
            "manifest", "convert", folder, folder / "new.csv", *options, "--keep-rejected", "--json"
        )
    )
    assert kept["splits"]["train"]["unreadable"] == 1


def test_convert__refuses_a_folder_that_exists(featkd: Featkd, path: Path) -> None:
    result = featkd("manifest", "convert", path, path.parent, "--to", "slowfast")
    assert result.exit_code == 1
    assert "exists already" in result.stderr


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ((), "expected --from or --to"),
        (("--from", "croissant", "--list", "a=b"), "--list and --classes go with --from"),
        (("--from", "slowfast", "--list", "a=b"), "go together"),
        (("--from", "slowfast", "--list", "a"), "SPLIT=FILE"),
        (("--from", "slowfast", "--list", "a=b", "--list", "a=c"), "named twice"),
        (("--to", "slowfast", "--link-videos"), "goes with --to videofolder"),
        (("--from", "slowfast"), ".parquet"),
    ],
)
def test_convert__wrong_options(featkd: Featkd, options: tuple[str, ...], expected: str) -> None:
    result = featkd("manifest", "convert", "source", "destination", *options)
    assert result.exit_code == 2
    assert expected in result.stderr
