import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

Featkd = Callable[..., Result]
Tiny = Callable[..., list[str]]


@pytest.fixture(scope="module")
def students(
    featkd: Featkd, tiny: Tiny, workdir: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A work folder with two seeds of two students."""
    folder = tmp_path_factory.mktemp("students") / "work"
    shutil.copytree(workdir, folder)
    names = ("--distiller", "none", "--distiller", "generative", "--seed", "0", "--seed", "1")
    result = featkd("distill", "demo", *names, *tiny(folder), "--json")
    assert result.exit_code == 0, result.output
    stages = json.loads(result.stdout)["stages"]
    assert len(stages) == 4
    assert all(Path(stage["written"]).is_dir() and stage["worked"] for stage in stages)
    return folder


def test_stages__finished_ones_say_so(featkd: Featkd, tiny: Tiny, workdir: Path) -> None:
    for stage in ("synthesize", "train", "extract", "represent"):
        result = featkd(stage, "demo", *tiny(workdir))
        assert result.exit_code == 0, result.output
        assert "was finished already" in result.stdout
        assert str(workdir) in result.stdout


def test_extract__json_tells_rows_and_bytes(featkd: Featkd, tiny: Tiny, workdir: Path) -> None:
    result = featkd("extract", "demo", *tiny(workdir), "--json", "--quiet")
    assert result.stderr == ""
    (stage,) = json.loads(result.stdout)["stages"]
    assert stage["facts"]["num_rows"] == 16
    assert 0 < stage["num_bytes"] < stage["facts"]["bytes_uncompressed"]
    assert stage["failures"] == {}


def test_extract__lists_videos_that_could_not_serve(
    featkd: Featkd, tiny: Tiny, own_workdir: Path, tmp_path: Path
) -> None:
    video = next((own_workdir / "data" / "videos" / "train").rglob("*.mp4"))
    video.write_bytes(b"damaged")
    (own_workdir / "cache").rename(tmp_path / "away")
    result = featkd("extract", "demo", *tiny(own_workdir))
    assert result.exit_code == 0, result.output
    assert f"1 video could not serve:\n  {video.stem}: " in result.stdout


def test_distill__live_signal_gets_its_own_folder(
    featkd: Featkd, tiny: Tiny, own_workdir: Path
) -> None:
    options = ("--distiller", "kd", "--signal", "live", "--seed", "5")
    result = featkd("distill", "demo", *options, *tiny(own_workdir))
    assert result.exit_code == 0, result.output
    assert (own_workdir / "students" / "kd+live-seed5" / "model.safetensors").is_file()


def test_evaluate__writes_for_the_test_split(featkd: Featkd, tiny: Tiny, students: Path) -> None:
    result = featkd("evaluate", "demo", *tiny(students), "--json")
    assert result.exit_code == 0, result.output
    measured = json.loads(result.stdout)
    assert measured["split"] == "test"
    assert len(measured["runs"]) == 5
    for folder, accuracy in measured["runs"].items():
        written = json.loads((Path(folder) / "evaluation.json").read_text())
        assert written["top1"] == accuracy["top1"]
        assert accuracy["num_videos"] == 4


@pytest.mark.parametrize("option", [("--still",), ("--split", "val")])
def test_evaluate__else_only_prints(
    featkd: Featkd, tiny: Tiny, own_workdir: Path, option: tuple[str, ...]
) -> None:
    teacher = own_workdir / "teacher"
    result = featkd("evaluate", "demo", teacher, *option, *tiny(own_workdir))
    assert result.exit_code == 0, result.output
    assert str(teacher) in result.stdout
    assert not (teacher / "evaluation.json").exists()


def test_evaluate__nothing_to_measure(featkd: Featkd, tiny: Tiny, own_workdir: Path) -> None:
    (own_workdir / "teacher" / "summary.json").unlink()
    result = featkd("evaluate", "demo", *tiny(own_workdir))
    assert result.exit_code == 1
    assert "holds no finished run" in result.stderr


def test_compare__table_and_json_agree(featkd: Featkd, tiny: Tiny, students: Path) -> None:
    featkd("evaluate", "demo", *tiny(students))
    comparison = json.loads(featkd("compare", students, "--json").stdout)
    groups = {group["name"]: group for group in comparison["groups"]}
    assert set(groups) == {"teacher", "none", "generative"}
    table = featkd("compare", students).stdout
    assert "took off" in table
    for group in groups.values():
        assert f"{group['mean'] * 100:.1f}" in table


def test_compare__before_any_evaluation(featkd: Featkd, workdir: Path) -> None:
    result = featkd("compare", workdir)
    assert result.exit_code == 0, result.output
    assert "not finished or not evaluated" in result.stdout


def test_report__default_place_and_output(
    featkd: Featkd, tiny: Tiny, students: Path, tmp_path: Path
) -> None:
    featkd("evaluate", "demo", *tiny(students))
    assert featkd("report", students).exit_code == 0
    assert "<html" in (students / "report.html").read_text()
    chosen = tmp_path / "mine.html"
    result = featkd("report", students, "--output", chosen, "--json")
    assert json.loads(result.stdout) == {"report": str(chosen), "bytes": chosen.stat().st_size}


def test_report__empty_folder(featkd: Featkd, tmp_path: Path) -> None:
    result = featkd("report", tmp_path)
    assert result.exit_code == 1
    assert str(tmp_path) in result.stderr
