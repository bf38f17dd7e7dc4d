import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from featkd.cache import FolderStore
from featkd.cli.failures import describe_failure
from featkd.errors import StorageFullError, UsageError

Featkd = Callable[..., Result]
Tiny = Callable[..., list[str]]


def _assert_one_line(result: Result, *expected: str, exit_code: int = 1) -> None:
    assert result.exit_code == exit_code, result.output
    assert result.stdout == ""
    errors = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, result.stderr
    assert result.stderr.endswith(f"{errors[0]}\n")
    assert "Traceback" not in result.output
    for text in expected:
        assert text in errors[0]


def test_recipe__missing_file(featkd: Featkd) -> None:
    _assert_one_line(featkd("train", "nowhere.yaml"), "nowhere.yaml", "shipped are")


def test_recipe__directory(featkd: Featkd, tmp_path: Path) -> None:
    _assert_one_line(featkd("train", tmp_path), str(tmp_path), "is a directory")


def test_recipe__unknown_key(featkd: Featkd) -> None:
    _assert_one_line(featkd("extract", "demo", "--set", "teacher.widht=1"), "teacher.widht")


def test_set__without_equals_sign(featkd: Featkd) -> None:
    _assert_one_line(featkd("train", "demo", "--set", "seed"), "'seed'", "key=value")


def test_manifest__missing(featkd: Featkd, tiny: Tiny, tmp_path: Path) -> None:
    _assert_one_line(featkd("train", "demo", *tiny(tmp_path)), "manifest.csv", "does not exist")


def _with_changed_manifest(workdir: Path, old: str, new: str) -> None:
    path = workdir / "data" / "manifest.csv"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_manifest__wrong_column(featkd: Featkd, tiny: Tiny, own_workdir: Path) -> None:
    _with_changed_manifest(own_workdir, ",class_name,", ",class,")
    _assert_one_line(featkd("train", "demo", *tiny(own_workdir)), "manifest.csv", "'class_name'")


def test_manifest__label_out_of_range(featkd: Featkd, tiny: Tiny, own_workdir: Path) -> None:
    _with_changed_manifest(own_workdir, ".mp4,1,", ".mp4,7,")
    result = featkd("train", "demo", *tiny(own_workdir))
    _assert_one_line(result, "manifest.csv", "'label'", "7", "0 to 1")


def test_manifest__directory_instead_of_file(featkd: Featkd, tmp_path: Path) -> None:
    _assert_one_line(featkd("manifest", "show", tmp_path), str(tmp_path), "folder")


def test_synthesize__recipe_without_synthetic_section(
    featkd: Featkd, tiny: Tiny, tmp_path: Path
) -> None:
    result = featkd("synthesize", "demo", *tiny(tmp_path), "--set", "synthetic=null")
    _assert_one_line(result, "'synthetic'")


def test_synthesize__manifest_of_another_name(featkd: Featkd, tiny: Tiny, tmp_path: Path) -> None:
    result = featkd("synthesize", "demo", *tiny(tmp_path), "--set", "data.manifest=mine.parquet")
    _assert_one_line(result, "mine.parquet", "manifest.csv")


def test_extract__without_teacher(featkd: Featkd, tiny: Tiny, own_workdir: Path) -> None:
    (own_workdir / "teacher" / "model.safetensors").unlink()
    _assert_one_line(featkd("extract", "demo", *tiny(own_workdir)), "featkd train")


def test_distill__unknown_distiller_before_any_work(
    featkd: Featkd, tiny: Tiny, own_workdir: Path
) -> None:
    names = ("--distiller", "kd", "--distiller", "magic")
    result = featkd("distill", "demo", *names, *tiny(own_workdir))
    _assert_one_line(result, "'magic'", "generative")
    assert not (own_workdir / "students").exists()


def test_distill__cache_of_another_teacher(featkd: Featkd, tiny: Tiny, own_workdir: Path) -> None:
    for file in (own_workdir / "teacher").iterdir():
        file.unlink()
    changed = tiny(own_workdir, teacher__training__optimiser__learning_rate=0.05)
    assert featkd("train", "demo", *changed).exit_code == 0
    result = featkd("distill", "demo", "--distiller", "kd", *changed)
    _assert_one_line(result, "teacher.weights_sha256")


def test_distill__neither_names_nor_all(featkd: Featkd) -> None:
    result = featkd("distill", "demo")
    assert result.exit_code == 2
    assert "--all" in result.stderr


def test_distill__names_and_all(featkd: Featkd) -> None:
    assert featkd("distill", "demo", "--all", "--distiller", "kd").exit_code == 2


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (StorageFullError("cache has no room left"), "cache has no room left"),
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "runs/cache/0"), "runs/cache/0"),
    ],
    ids=["of the store", "of the system"],
)
def test_extract__no_space_left(
    featkd: Featkd,
    tiny: Tiny,
    own_workdir: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    raised: Exception,
    expected: str,
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise raised

    monkeypatch.setattr(FolderStore, "write_part", fail)
    (own_workdir / "cache").rename(tmp_path / "away")
    result = featkd("extract", "demo", *tiny(own_workdir))
    _assert_one_line(result, expected, "no room left")


def test_unexpected__one_line_with_advice(featkd: Featkd, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise ZeroDivisionError("first\nsecond")

    monkeypatch.setattr("featkd.recipes.shipped_recipes", fail)
    result = featkd("recipe", "list")
    assert result.exit_code == 1
    assert result.stderr.startswith("unexpected error: ZeroDivisionError: first second; ")
    assert "--debug" in result.stderr
    assert result.stderr.count("\n") == 1


def test_debug__shows_the_traceback_and_the_line(featkd: Featkd) -> None:
    result = featkd("--debug", "train", "nowhere.yaml")
    assert result.exit_code == 1
    assert "Traceback (most recent call last)" in result.stderr
    assert result.stderr.splitlines()[-1].startswith("error: nowhere.yaml")


@pytest.mark.parametrize(
    ("error", "line", "exit_status"),
    [
        (UsageError("a\n  b"), "error: a b", 1),
        (FileNotFoundError(errno.ENOENT, "gone", "x.mp4"), "error: x.mp4 does not exist", 1),
        (IsADirectoryError(errno.EISDIR, "", b"x"), "error: x is a directory; expected a file", 1),
        (OSError(errno.EIO, "input/output error", "x"), "error: x: input/output error", 1),
        (OSError("odd"), "error: a file: odd", 1),
        (
            KeyboardInterrupt(),
            "Stopped. Everything finished so far is kept; go on with: featkd demo",
            130,
        ),
    ],
)
def test_describe_failure__line_and_status(
    error: BaseException, line: str, exit_status: int
) -> None:
    assert describe_failure(error, "featkd demo") == (line, exit_status)


def test_permission__names_the_file(
    featkd: Featkd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Tests may run as root, whom no permission stops.
    target = tmp_path / "mine.yaml"
    plain_open = Path.open

    def refuse(self: Path, *arguments: Any, **options: Any) -> Any:
        if self == target:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(self))
        return plain_open(self, *arguments, **options)

    monkeypatch.setattr(Path, "open", refuse)
    _assert_one_line(featkd("recipe", "copy", "demo", target), str(target), "permission denied")
