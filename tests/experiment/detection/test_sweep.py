"""Detectors trained side by side are the detectors that were trained alone."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from featkd.errors import UsageError
from featkd.experiment import Member, distill, sweep, vary
from featkd.experiment.detection.workspace import DetectionWorkspace

OpenStudents = Callable[..., DetectionWorkspace]
METHODS = ("none", "kd", "simkd", "generative")


def what_it_left(folder: Path) -> tuple[dict[str, torch.Tensor], list[dict], dict]:
    """Weights, log and summary, but for the time it took."""
    log = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    summary = json.loads((folder / "summary.json").read_text())
    for record in (*log, summary):
        del record["seconds"]
    return load_file(folder / "model.safetensors"), log, summary


def test_sweep__each_detector_as_if_alone(
    own_represented: Path, open_students: OpenStudents
) -> None:
    """Every method, two seeds of one, and a variant, with noise and rearrangements of their own."""
    workspace = open_students(own_represented)
    members = [
        *vary(METHODS, [0], {}),
        Member("generative", 1),
        Member("kd", 0, ("distillers.kd.kd_weight=3",)),
    ]
    swept = sweep(workspace, members)
    assert [student.state for student in swept] == ["trained"] * 6
    assert [student.state for student in sweep(workspace, members)] == ["finished"] * 6
    for student in swept:
        weights, log, summary = what_it_left(student.folder)
        shutil.rmtree(student.folder)
        member = student.member
        alone = open_students(own_represented)
        assert distill(member.workspace(alone), member.name, member.seed)
        own_weights, own_log, own_summary = what_it_left(student.folder)
        assert own_log == log
        assert own_summary == summary
        assert own_weights.keys() == weights.keys()
        assert all(torch.equal(own_weights[name], value) for name, value in weights.items())


def test_sweep__a_detector_that_fails_does_not_end_the_others(
    own_represented: Path, open_students: OpenStudents
) -> None:
    workspace = open_students(own_represented)
    attentive = Member("simkd", 0, ("student.model.attention_head=paper",))
    failed, trained = sweep(workspace, [attentive, Member("kd", 0)])
    assert isinstance(failed.error, UsageError)
    assert "student.model.attention_head is 'paper'" in str(failed.error)
    assert trained.state == "trained"


def test_sweep__detectors_of_one_seed_see_one_pass(
    own_represented: Path, open_students: OpenStudents, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = open_students(own_represented)
    epochs: list[object] = []
    views = workspace.rendered((workspace.recipe.student.preprocess.size,))
    batches = views.batches

    def counted(pairs, **options):
        if len(pairs) > 1:  # not the one that each student is fitted to
            epochs.append(pairs)
        return batches(pairs, **options)

    monkeypatch.setattr(views, "batches", counted)
    sweep(workspace, vary(("none", "kd", "simkd"), [0], {}))
    assert len(epochs) == workspace.recipe.student.training.num_epochs
