"""Student detectors that learn from the cache."""

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from featkd.detection.checkpoint import load_detector
from featkd.errors import CacheIncompleteError, ModelError, RequirementError, UsageError
from featkd.evaluation import find_runs
from featkd.experiment import distill
from featkd.experiment.detection.frozen_detector import FrozenDetector
from featkd.experiment.detection.student import StudentDetectors
from featkd.experiment.detection.workspace import DetectionWorkspace
from featkd.recipes import dump_recipe

OpenStudents = Callable[..., DetectionWorkspace]
METHODS = ("none", "kd", "simkd", "generative")


def weights_of(workspace: DetectionWorkspace, name: str, seed: int = 0) -> dict[str, torch.Tensor]:
    return load_file(workspace.student_folder(name, seed) / "model.safetensors")


def summary_of(workspace: DetectionWorkspace, name: str, seed: int = 0) -> dict[str, object]:
    return json.loads((workspace.student_folder(name, seed) / "summary.json").read_text())


def losses_of(workspace: DetectionWorkspace, name: str) -> list[dict[str, float]]:
    lines = (workspace.student_folder(name, 0) / "metrics.jsonl").read_text().splitlines()
    logged = [json.loads(line) for line in lines]
    return [{k: v for k, v in epoch.items() if k.startswith("train.")} for epoch in logged]


@pytest.fixture(scope="module")
def students(
    tmp_path_factory: pytest.TempPathFactory, represented: Path, open_students: OpenStudents
) -> DetectionWorkspace:
    """The tiny experiment with a student of every method."""
    folder = tmp_path_factory.mktemp("students") / "work"
    shutil.copytree(represented, folder)
    workspace = open_students(folder)
    for name in METHODS:
        assert distill(workspace, name, 0)
    return workspace


@pytest.mark.parametrize("name", METHODS)
def test_distill__leaves_a_finished_run(students: DetectionWorkspace, name: str) -> None:
    assert not distill(students, name, 0)
    folder = students.student_folder(name, 0)
    assert {path.name for path in folder.iterdir()} == {
        "metrics.jsonl", "model.safetensors", "recipe.yaml", "summary.json",
    }  # fmt: skip
    assert len((folder / "metrics.jsonl").read_text().splitlines()) == 2
    card, network = load_detector(folder / "model.safetensors")
    assert card.model.name == "top_i3d"
    assert summary_of(students, name)["parameters"] == sum(
        parameter.numel() for parameter in network.parameters()
    )
    assert {run.name for run in find_runs(students.folder)} >= set(METHODS)


def test_distill__attention_heads_stay_and_are_counted(students: DetectionWorkspace) -> None:
    plain, ours = summary_of(students, "kd"), summary_of(students, "generative")
    assert ours["gmac"] > plain["gmac"]
    heads = [name for name in weights_of(students, "generative") if "attention_heads" in name]
    assert {name.split(".")[1] for name in heads} == {"Mixed_4f", "Mixed_5c"}
    assert not any("attention_heads" in name for name in weights_of(students, "kd"))
    assert not any("cvae" in name for name in weights_of(students, "generative"))


def test_distill__simkd_keeps_the_teachers_detector(students: DetectionWorkspace) -> None:
    """Gradient moves backbone and projectors, never what was taken over."""
    found = weights_of(students, "simkd")
    teacher = FrozenDetector(students).detector.state_dict()
    own = {name.removeprefix("detector."): value for name, value in found.items()
           if name.startswith("detector.")}  # fmt: skip
    assert own.keys() == teacher.keys()
    assert all(torch.equal(own[name], value) for name, value in teacher.items())
    other = weights_of(students, "none")
    moved = [name for name in other if name.startswith("backbone.") and name in found]
    assert not all(torch.equal(found[name], other[name]) for name in moved)
    assert any(name.startswith("projectors.Mixed_4f") for name in found)


@pytest.mark.parametrize(
    ("name", "terms"),
    [
        ("none", set()),
        ("kd", {"kd_coarse", "kd_refined"}),
        ("generative", {f"{kind}_{layer}" for layer in ("Mixed_4f", "Mixed_5c")
                        for kind in ("recon", "attention", "cvae_recon", "cvae_kl", "kd_gen")}),
    ],
)  # fmt: skip
def test_distill__logs_its_terms(students: DetectionWorkspace, name: str, terms: set[str]) -> None:
    supervised = {"loc", "cls", "refined_loc", "refined_cls", "quality", "start", "end"}
    # Whether a window can be rearranged is chance.
    always = {"loss", "action_recall"} | supervised | terms
    for epoch in losses_of(students, name):
        logged = {key.removeprefix("train.") for key in epoch}
        assert logged - {"consistency"} == always


@pytest.mark.parametrize("name", ["kd", "simkd", "generative"])
def test_distill__live_teacher_says_what_the_cache_says(
    students: DetectionWorkspace, name: str
) -> None:
    """Every loss of both epochs, the noise being the same; the cache holds float32."""
    assert distill(students, name, 0, signal="live")
    cached, live = losses_of(students, name), losses_of(students, f"{name}+live")
    assert [epoch.keys() for epoch in cached] == [epoch.keys() for epoch in live]
    for epoch, other in zip(cached, live, strict=True):
        for key, value in epoch.items():
            assert other[key] == pytest.approx(value, rel=1e-4, abs=1e-6), key
    assert summary_of(students, f"{name}+live")["signal"] == "live"


@pytest.mark.parametrize("alternation", ["step", "epoch"])
def test_distill__stopped_and_resumed_equals_uninterrupted(
    own_represented: Path, open_students: OpenStudents, interrupted_after, alternation: str
) -> None:
    """Six windows give three steps an epoch, or two passes of three."""
    workspace = open_students(own_represented, f"distillers.generative.alternation={alternation}")
    steps_of_an_epoch = 3 if alternation == "step" else 6
    with interrupted_after(steps_of_an_epoch + 1) as progress:
        distill(workspace, "generative", 0, progress=progress)
    folder = workspace.student_folder("generative", 0)
    assert (folder / "checkpoint.pt").exists()
    assert not (folder / "summary.json").exists()
    assert distill(workspace, "generative", 0)
    resumed = weights_of(workspace, "generative")
    shutil.rmtree(folder)
    distill(workspace, "generative", 0)
    whole = weights_of(workspace, "generative")
    assert all(torch.equal(resumed[name], value) for name, value in whole.items())


SLOW_TRAINING = """
import sys
import time
import torch
torch.set_num_threads(1)
from featkd.experiment import distill
from featkd.experiment.detection.workspace import DetectionWorkspace
from featkd.recipes import load_any_recipe

class Shown:
    def track(self, items, *, description, total, unit, done=0):
        for number, item in enumerate(items):
            if number == 4:
                print("under way", flush=True)
                time.sleep(600)
            yield item
    def note(self, message): pass

workspace = DetectionWorkspace(load_any_recipe(sys.argv[1]))
distill(workspace, "generative", 0, progress=Shown())
"""


def test_distill__killed_and_resumed_equals_uninterrupted(
    own_represented: Path, students: DetectionWorkspace, open_students: OpenStudents
) -> None:
    workspace = open_students(own_represented)
    recipe = own_represented / "recipe.yaml"
    recipe.write_text(dump_recipe(workspace.recipe))
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW_TRAINING, str(recipe)], stdout=subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"under way\n"
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
    folder = workspace.student_folder("generative", 0)
    assert (folder / "checkpoint.pt").exists(), "the first epoch was finished"
    assert distill(workspace, "generative", 0)
    assert len((folder / "metrics.jsonl").read_text().splitlines()) == 2
    expected = weights_of(students, "generative")
    assert all(
        torch.equal(found, expected[name])
        for name, found in weights_of(workspace, "generative").items()
    )


def test_distill__what_is_missing_is_named(
    tmp_path: Path, extracted_windows: Path, open_students: OpenStudents
) -> None:
    shutil.copytree(extracted_windows, tmp_path / "work")
    workspace = open_students(tmp_path / "work")
    with pytest.raises(RequirementError, match="featkd represent"):
        distill(workspace, "generative", 0)
    with pytest.raises(UsageError, match="'sorcery' is not in recipe 'tiny_detection'"):
        distill(workspace, "sorcery", 0)
    (tmp_path / "work" / "cache" / "commits" / "teacher" / "000001.json").unlink()
    with pytest.raises(CacheIncompleteError, match=r"lacks 1 of 3 parts.*featkd extract"):
        distill(workspace, "kd", 0)
    # Rows 5 to 9 are missing: one view of window 2, both of 3 and 4.
    few = open_students(tmp_path / "work", "student.training={num_epochs: 1, batch_size: 2}")
    assert distill(few, "kd", 0, committed_only=True)
    assert summary_of(few, "kd")["num_windows"] == 3


def test_student_card__teachers_detector_reads_maps_as_they_are(
    students: DetectionWorkspace, open_students: OpenStudents
) -> None:
    detectors = StudentDetectors(students, FrozenDetector(students))
    card = detectors.card(students, "simkd")
    assert card.model.reused_detector is not None
    assert card.model.reused_detector.width == detectors.teacher.card.model.width
    assert card.model.attention_head is None
    assert detectors.card(students, "generative").model.attention_head == "paper"
    assert detectors.card(students, "kd").model == students.recipe.student.model
    attentive = open_students(students.folder, "student.model.attention_head=released")
    assert detectors.card(attentive, "generative").model.attention_head == "released"
    with pytest.raises(UsageError, match=r"student\.model\.attention_head is 'released'"):
        detectors.card(attentive, "simkd")


def test_distill__of_another_pyramid_is_refused(
    own_represented: Path, open_students: OpenStudents
) -> None:
    workspace = open_students(own_represented, "student.model.num_levels=2")
    with pytest.raises(ModelError, match="expected the same priors"):
        distill(workspace, "kd", 0)
    with pytest.raises(ModelError, match="cannot reuse the detector"):
        distill(workspace, "simkd", 0)
