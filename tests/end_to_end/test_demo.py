import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from featkd.evaluation import read_work_summary

_TINY = (
    "synthetic.videos_per_class={train: 4, val: 1, test: 2}",
    "synthetic.classes=[translate_left, translate_right, zoom_in]",
    "synthetic.num_frames=16",
    "synthetic.size=48",
    "views.train.num_frames=8",
    "views.train.num_views=2",
    "views.evaluate.num_frames=8",
    "teacher.model.width=0.125",
    "teacher.preprocess.size=48",
    "teacher.training.num_epochs=2",
    "teacher.training.batch_size=4",
    "student.model.width=0.125",
    "student.preprocess.size=48",
    "student.training.num_epochs=1",
    "student.training.batch_size=4",
    "representation.num_epochs=1",
    "representation.batch_size=4",
    "extract.part_rows=8",
)
_STAGES = (
    "synthesize",
    "train",
    "evaluate",
    "extract",
    "represent",
    "distill none",
    "distill kd",
    "distill generative",
    "report",
)


def _demo(workdir: Path) -> subprocess.CompletedProcess[str]:
    overrides = [word for setting in _TINY for word in ("--set", setting)]
    return subprocess.run(
        [Path(sys.executable).with_name("featkd"), "demo", "--workdir", str(workdir), *overrides],
        capture_output=True,
        text=True,
        check=False,
        cwd=workdir.parent,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


@pytest.fixture(scope="module")
def workdir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo") / "work: here"


@pytest.fixture(scope="module")
def first(workdir: Path) -> subprocess.CompletedProcess[str]:
    done = _demo(workdir)
    assert done.returncode == 0, done.stderr
    return done


@pytest.fixture(scope="module")
def summary(workdir: Path, first: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((workdir / "summary.json").read_text())
    return content


def _line(text: str, start: str) -> str:
    (line,) = (line for line in text.splitlines() if line.startswith(f"{start}  "))
    return line


def test_demo__summary_is_complete(summary: dict[str, Any], workdir: Path) -> None:
    assert tuple(summary["stages"]) == _STAGES
    assert summary["total_seconds"] == pytest.approx(sum(summary["stages"].values()))
    assert set(summary["bytes"]) == {"videos", "cache", "cache_uncompressed", "workdir"}
    assert summary["bytes"]["cache"] < summary["bytes"]["cache_uncompressed"]
    assert set(summary["accuracy"]) == {
        "teacher",
        "teacher_one_frame_repeated",
        "chance",
        "none",
        "kd",
        "generative",
    }
    assert summary["accuracy"]["chance"] == pytest.approx(1 / 3)
    assert summary["failed_videos"] == 0
    assert {"python", "featkd", "torch"} <= set(summary["versions"])
    work = read_work_summary(workdir)
    assert work is not None
    assert dict(work.stages) == summary["stages"]


def test_demo__accuracies_are_those_of_the_runs(summary: dict[str, Any], workdir: Path) -> None:
    folders = {
        name: workdir / "students" / f"{name}-seed0" for name in ("none", "kd", "generative")
    }
    for name, folder in {"teacher": workdir / "teacher", **folders}.items():
        evaluation = json.loads((folder / "evaluation.json").read_text())
        assert evaluation["top1"] == summary["accuracy"][name]


def test_demo__prints_every_figure_of_the_summary(
    summary: dict[str, Any], workdir: Path, first: subprocess.CompletedProcess[str]
) -> None:
    printed = first.stdout
    for stage, seconds in summary["stages"].items():
        assert _line(printed, stage).endswith(f" {seconds:.1f} s")
    for name, num_bytes in summary["bytes"].items():
        kibibytes = num_bytes / 1024
        shown = f"{kibibytes:.1f} KiB" if kibibytes < 1024 else f"{kibibytes / 1024:.1f} MiB"
        assert _line(printed, name.replace("_", " ")).endswith(f" {shown}")
    accuracies = printed[printed.index("accuracy on test videos") : printed.index("machine: ")]
    for name, fraction in summary["accuracy"].items():
        assert _line(accuracies, name.replace("_", " ")).endswith(f" {fraction * 100:.1f}")
    for group in ("versions", "machine"):
        for name, value in summary[group].items():
            assert f"{name} {value}" in printed
    assert f"could not serve: {summary['failed_videos']}" in printed
    assert str(workdir / "summary.json") in printed
    assert str(workdir / "report.html") in printed


def test_demo__explains_each_stage(first: subprocess.CompletedProcess[str]) -> None:
    for stage in _STAGES:
        assert f"== {stage} ==" in first.stderr
    assert "==" not in first.stdout


def test_demo__report_shows_the_summary(summary: dict[str, Any], workdir: Path) -> None:
    report = (workdir / "report.html").read_text()
    assert "generative" in report
    assert "distill kd" in report


def test_demo__writes_nowhere_else(workdir: Path, summary: dict[str, Any]) -> None:
    assert [path.name for path in workdir.parent.iterdir()] == [workdir.name]


def test_demo__a_finished_one_only_prints(
    summary: dict[str, Any], workdir: Path, first: subprocess.CompletedProcess[str]
) -> None:
    def snapshot() -> dict[Path, str]:
        return {
            path: hashlib.sha256(path.read_bytes()).hexdigest()
            for path in workdir.rglob("*")
            # The lock tells which process held it last.
            if path.is_file() and path.name != "writer.lock"
        }

    before = snapshot()
    again = _demo(workdir)
    assert again.returncode == 0, again.stderr
    assert again.stdout == first.stdout
    assert snapshot() == before


def test_demo__goes_on_where_something_is_missing(summary: dict[str, Any], workdir: Path) -> None:
    student = workdir / "students" / "kd-seed0"
    for file in student.iterdir():
        file.unlink()
    teacher = (workdir / "teacher" / "model.safetensors").stat().st_mtime_ns
    again = _demo(workdir)
    assert again.returncode == 0, again.stderr
    assert (workdir / "teacher" / "model.safetensors").stat().st_mtime_ns == teacher
    continued = json.loads((workdir / "summary.json").read_text())
    assert continued["stages"]["distill kd"] > summary["stages"]["distill kd"]
    assert continued["stages"]["train"] == summary["stages"]["train"]
    assert continued["accuracy"] == summary["accuracy"]
