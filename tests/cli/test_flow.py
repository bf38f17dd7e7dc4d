"""``featkd flow`` and ``featkd evaluate --fuse``."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

Featkd = Callable[..., Result]
Tiny = Callable[..., list[str]]


def test_flow__computes_once_and_tells(featkd: Featkd, workdir: Path, tmp_path: Path) -> None:
    pytest.importorskip("cv2.optflow", reason="OpenCV's contributed modules are not installed")
    manifest = workdir / "data" / "manifest.csv"
    command = ("flow", manifest, "--output", tmp_path / "flow", "--method", "dis")
    first = featkd(*command, "--split", "val", "--json")
    assert first.exit_code == 0, first.output
    summary = json.loads(first.stdout)
    assert summary["num_videos"] == summary["num_computed"] == 2
    assert summary["num_frames"] == 2 * 15
    assert summary["num_bytes"] == sum(
        path.stat().st_size for path in (tmp_path / "flow" / "videos").iterdir()
    )
    assert "flow dis: 2 videos" in first.stderr
    again = featkd(*command, "--quiet")
    assert again.exit_code == 0, again.output
    assert again.stderr == ""
    assert "dis flow of 14 videos" in again.stdout
    assert "computed now: 12 videos, 180 frames" in again.stdout
    other = featkd(*command, "--short-side", "16")
    assert other.exit_code == 1
    assert "short_side is None and would be 16 now" in other.stderr


def test_fuse__of_two_runs_prints_each_and_both(
    featkd: Featkd, tiny: Tiny, workdir: Path, tmp_path: Path
) -> None:
    teacher = workdir / "teacher"
    command = ("evaluate", "demo", teacher, "--fuse", "demo", teacher, *tiny(workdir))
    result = featkd(*command, "--weights", "1,2.5", "--scores", "logits", "--json")
    assert result.exit_code == 0, result.output
    measured = json.loads(result.stdout)
    assert measured["scores"] == "logits"
    assert [stream["weight"] for stream in measured["streams"]] == [1.0, 2.5]
    # A network fused with itself says what it says alone.
    assert measured["fused"]["confusion"] == measured["streams"][0]["confusion"]
    table = featkd(*command).stdout
    assert "weighted mean of probabilities" in table
    assert "1 clip x 1 crop a video" in table
    assert table.count(str(teacher)) == 2
    assert not (teacher / "evaluation.json").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--fuse", "demo", "run"), "averages one RUN with others; 0 are given"),
        (("one", "two", "--fuse", "demo", "run"), "2 are given"),
        (("one", "--weights", "1,2"), "belong to --fuse"),
        (("one", "--fuse", "demo", "two", "--weights", "1"), "gives 1 numbers; expected 2"),
        (("one", "--fuse", "demo", "two", "--weights", "1,x"), "expected numbers such as 1,1.5"),
    ],
)
def test_fuse__wrong_command_lines(featkd: Featkd, options: tuple[str, ...], words: str) -> None:
    result = featkd("evaluate", "demo", *options)
    assert result.exit_code == 2
    assert words in " ".join(result.stderr.split())


def test_fuse__of_other_videos_is_refused(
    featkd: Featkd, tiny: Tiny, workdir: Path, tmp_path: Path
) -> None:
    manifest = workdir / "data" / "manifest.csv"
    lines = manifest.read_text().splitlines(keepends=True)
    lost = next(line for line in lines if ",test," in line)
    other = tmp_path / "manifest.csv"
    other.write_text("".join(line for line in lines if line != lost))
    teacher = workdir / "teacher"
    recipes = []
    for name, path in (("all", manifest), ("fewer", other)):
        shown = featkd("recipe", "show", "demo", *tiny(workdir), "--set", f"data.manifest={path}",
                       "--set", f"data.root={workdir / 'data'}")  # fmt: skip
        assert shown.exit_code == 0, shown.output
        recipes.append(tmp_path / f"{name}.yaml")
        recipes[-1].write_text(shown.stdout)
    result = featkd("evaluate", recipes[0], teacher, "--fuse", recipes[1], teacher)
    assert result.exit_code == 1
    assert "stream 1 has video" in result.stderr
