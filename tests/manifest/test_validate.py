from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from featkd.errors import UsageError
from featkd.manifest import (
    Manifest,
    ManifestHeader,
    Problem,
    build_from_folders,
    check_contents,
    check_extra_files,
    check_files,
    check_table,
)

Encode = Callable[..., None]


@pytest.fixture
def sound(header: ManifestHeader, table: pd.DataFrame) -> Manifest:
    """Two splits, each with one readable row of every class."""
    both = pd.concat([table.iloc[:3], table.iloc[:3]], ignore_index=True)
    header = header.model_copy(update={"classes": ("run", "jump", "wave")})
    changed = both.assign(
        class_name=["run", "jump", "wave"] * 2,
        video_id=list("abcdef"),
        path=[f"{name}.mp4" for name in "abcdef"],
        split=["train"] * 3 + ["test"] * 3,
        group=[f"g{index}" for index in range(6)],
        sha256=[character * 64 for character in "012345"],
    )
    return Manifest(header, changed, Path())


def _changed(manifest: Manifest, cells: dict[tuple[int, str], object]) -> Manifest:
    table = manifest.table.copy()
    for (row, column), value in cells.items():
        table.loc[row, column] = value
    return replace(manifest, table=table)


def _errors(problems: list[Problem]) -> list[Problem]:
    return [problem for problem in problems if problem.severity == "error"]


def _only(problems: list[Problem]) -> Problem:
    assert len(problems) == 1
    return problems[0]


def test_check_table__nothing_wrong(sound: Manifest) -> None:
    assert check_table(sound) == []


def test_check_table__group_in_two_splits(sound: Manifest) -> None:
    problem = _only(check_table(_changed(sound, {(1, "group"): "g9", (4, "group"): "g9"})))
    assert (problem.severity, problem.field, problem.row) == ("error", "group", 4)
    for words in ("'g9'", "'b' is in 'train'", "'e' in 'test'", "all 2 videos"):
        assert words in problem.message


def test_check_table__absent_groups_are_no_group(sound: Manifest) -> None:
    assert check_table(_changed(sound, {(1, "group"): None, (4, "group"): None})) == []


@pytest.mark.parametrize(
    ("row", "severity"), [(3, "error"), (1, "error"), (6, "warning")], ids=["split", "label", "own"]
)
def test_check_table__same_contents(sound: Manifest, row: int, severity: str) -> None:
    third_of_class_0 = sound.table.iloc[:1].assign(
        video_id="g", path="g.mp4", group="g7", sha256="6" * 64
    )
    longer = replace(sound, table=pd.concat([sound.table, third_of_class_0], ignore_index=True))
    cells = {(row, "sha256"): "0" * 64, (row, "start_sec"): 0.0, (row, "end_sec"): None}
    problem = _only(check_table(_changed(longer, cells)))
    assert (problem.severity, problem.field, problem.row) == (severity, "sha256", row)
    assert "video 'a'" in problem.message
    assert problem.video_id == longer.table["video_id"][row]


def test_check_table__other_stretch_of_one_file_is_no_repetition(sound: Manifest) -> None:
    cells = {(0, "end_sec"): 1.0, (3, "sha256"): "0" * 64, (3, "start_sec"): 1.0}
    assert check_table(_changed(sound, cells)) == []


def test_check_table__class_absent_from_a_split(sound: Manifest) -> None:
    problem = _only(check_table(_changed(sound, {(5, "label"): 0, (5, "class_name"): "run"})))
    assert problem.severity == "warning"
    assert problem.message == "class 'wave' has no rows in split 'test'; expected at least one"


def test_check_table__names_that_differ_in_case(sound: Manifest) -> None:
    problem = _only(check_table(_changed(sound, {(4, "path"): "A.MP4"})))
    assert (problem.severity, problem.row, problem.field) == ("warning", 4, "path")
    assert "'a.mp4'" in problem.expected
    problem = _only(check_table(_changed(sound, {(2, "video_id"): "A"})))
    assert (problem.row, problem.field, problem.value) == (2, "video_id", "A")


def test_check_table__classes_that_differ_in_case(sound: Manifest) -> None:
    # UCF101 is known for writing HandstandPushups and HandStandPushups.
    header = sound.header.model_copy(update={"classes": ("run", "jump", "Jump")})
    table = sound.table.assign(class_name=["run", "jump", "Jump"] * 2)
    problem = _only(check_table(replace(sound, header=header, table=table)))
    assert "'jump' and 'Jump' differ only in case" in problem.message


def test_check_table__unreadable_video(sound: Manifest) -> None:
    problem = _only(check_table(_changed(sound, {(4, "num_frames"): 0})))
    assert (problem.severity, problem.row, problem.video_id) == ("warning", 4, "e")


@pytest.fixture
def built(tmp_path: Path, encode: Encode) -> Manifest:
    """Rows, by position: unreadable, 5 frames, 6 frames."""
    encode(tmp_path / "run" / "b.mp4")
    encode(tmp_path / "run" / "c.mp4", num_frames=6)
    (tmp_path / "run" / "a.mp4").write_bytes(b"no video")
    return build_from_folders(tmp_path, dataset="t").with_rejected()


def test_check_files__all_there(built: Manifest) -> None:
    assert check_files(built) == []
    problem = _only(check_contents(built, num_workers=2))
    assert (problem.severity, problem.video_id, problem.value) == ("warning", "run/a", "0")
    assert "cannot be opened as a video" in problem.message


def test_check_files__what_is_not_there(built: Manifest, tmp_path: Path) -> None:
    (tmp_path / "run" / "a.mp4").unlink()
    (tmp_path / "run" / "b.mp4").unlink()
    (tmp_path / "run" / "b.mp4").mkdir()
    (tmp_path / "run" / "c.mp4").write_bytes(b"")
    problems = check_files(built)
    assert [(problem.row, problem.severity, problem.field) for problem in problems] == [
        (0, "error", "path"),
        (1, "error", "path"),
        (2, "error", "path"),
    ]
    for problem, words in zip(problems, ("none", "folder", "empty (0 bytes)"), strict=True):
        assert words in problem.expected
        assert problem.video_id in problem.message
    assert check_contents(built) == problems


def test_check_extra_files__what_no_row_names(built: Manifest, tmp_path: Path) -> None:
    assert check_extra_files(built) == []
    (tmp_path / "jump" / "deep").mkdir(parents=True)
    for name in ("jump/deep/x.AVI", "y.mp4", "notes.txt"):
        (tmp_path / name).write_bytes(b"")
    problems = check_extra_files(built)
    assert [problem.value for problem in problems] == ["jump/deep/x.AVI", "y.mp4"]
    assert {problem.severity for problem in problems} == {"warning"}


def test_check_contents__another_file(built: Manifest, tmp_path: Path, encode: Encode) -> None:
    encode(tmp_path / "run" / "b.mp4", num_frames=3)
    digest, frames = _errors(check_contents(built))
    assert (digest.field, digest.row, digest.severity) == ("sha256", 1, "error")
    assert digest.value == built.table["sha256"][1]
    assert (frames.field, frames.value) == ("num_frames", "5")
    assert "expected 3, which decode" in frames.message


def test_check_contents__damaged_file(built: Manifest, tmp_path: Path) -> None:
    (tmp_path / "run" / "b.mp4").write_bytes(b"damaged")
    digest, frames = _errors(check_contents(built))
    assert digest.field == "sha256"
    assert frames.field == "num_frames"
    assert "0: " in frames.expected


def test_check_contents__mended_file(built: Manifest, tmp_path: Path, encode: Encode) -> None:
    encode(tmp_path / "run" / "a.mp4", shade=90)
    assert [problem.field for problem in check_contents(built)] == ["sha256", "num_frames"]


@pytest.mark.parametrize(
    ("column", "value", "field", "expected"),
    [("width", 64, "width", "32x32"), ("height", 64, "width", "32x32"), ("fps", 25.0, "fps", "10")],
)
def test_check_contents__wrong_facts(
    built: Manifest, column: str, value: float, field: str, expected: str
) -> None:
    problem = _only(_errors(check_contents(_changed(built, {(2, column): value}))))
    assert (problem.row, problem.field) == (2, field)
    assert expected in problem.expected


def test_check_contents__stretch_of_a_file(built: Manifest) -> None:
    stretch = {(2, "start_sec"): 0.2, (2, "end_sec"): 0.5, (2, "num_frames"): 3}
    assert _errors(check_contents(_changed(built, stretch))) == []
    wrong = stretch | {(2, "num_frames"): 4}
    assert _only(_errors(check_contents(_changed(built, wrong)))).field == "num_frames"


def test_check_contents__workers(built: Manifest) -> None:
    with pytest.raises(UsageError, match="num_workers is -1"):
        check_contents(built, num_workers=-1)


def test_check_contents__file_that_became_a_copy(built: Manifest, tmp_path: Path) -> None:
    (tmp_path / "run" / "c.mp4").write_bytes((tmp_path / "run" / "b.mp4").read_bytes())
    digest, frames, copy = _errors(check_contents(built))
    assert {problem.video_id for problem in (digest, frames, copy)} == {"run/c"}
    assert (digest.field, frames.field, copy.field) == ("sha256", "num_frames", "path")
    assert "it is a copy of run/b.mp4" in copy.message


def test_check_contents__suffix_of_another_format(tmp_path: Path, encode: Encode) -> None:
    encode(tmp_path / "run" / "a.mkv")
    (tmp_path / "run" / "a.mkv").rename(tmp_path / "run" / "a.mp4")
    problem = _only(check_contents(build_from_folders(tmp_path, dataset="t").manifest))
    assert (problem.severity, problem.field) == ("warning", "path")
    assert "its contents are matroska" in problem.message
