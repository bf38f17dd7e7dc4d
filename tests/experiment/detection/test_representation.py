"""What the cache holds of a teacher's attention on both maps."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from featkd.cache import FolderStore
from featkd.detection.afsd import DETECTOR_LAYERS
from featkd.errors import FingerprintError, UsageError
from featkd.experiment.detection.frozen_modules import load_detection_modules
from featkd.experiment.detection.representation import represent_detector
from featkd.experiment.detection.workspace import DetectionWorkspace

OpenStudents = Callable[..., DetectionWorkspace]
CPU = torch.device("cpu")


@pytest.fixture
def work(tmp_path: Path, extracted_windows: Path) -> Path:
    """A copy of the extracted experiment, to be changed."""
    shutil.copytree(extracted_windows, tmp_path / "work")
    return tmp_path / "work"


def attention_of(folder: Path) -> dict[str, torch.Tensor]:
    with FolderStore.open(folder / "cache") as store:
        rows = range(store.num_rows)
        return {layer: store.read_rows(f"attention/{layer}", rows) for layer in DETECTOR_LAYERS}


def test_represent__every_row_has_what_the_heads_say_of_its_maps(
    represented: Path, open_students: OpenStudents
) -> None:
    assert not represent_detector(open_students(represented))
    attention = attention_of(represented)
    with FolderStore.open(represented / "cache") as store:
        modules = load_detection_modules(store, CPU)
        for layer in DETECTOR_LAYERS:
            maps = store.read_rows(f"features/{layer}.full", range(store.num_rows)).float()
            expected = torch.cat([modules.attention_heads[layer](row[None]) for row in maps])
            assert attention[layer].shape == expected.shape
            torch.testing.assert_close(attention[layer].float(), expected, atol=1e-3, rtol=0)
    summary = json.loads((represented / "representation" / "summary.json").read_text())
    assert summary["task"] == "detection"
    assert summary["parameters"] == sum(
        parameter.numel()
        for module in modules.items().values()
        for parameter in module.parameters()
    )


def test_represent__detector_goes_on_from_the_teachers(
    work: Path, open_students: OpenStudents
) -> None:
    """With a learning rate of next to nothing the detector stays the teacher's own."""
    still = "representation={num_epochs: 1, batch_size: 2, optimiser: {kind: sgd, "
    still += "learning_rate: 1e-30, weight_decay: 0}}"
    represent_detector(open_students(work, still))
    with FolderStore.open(work / "cache") as store:
        learned = load_detection_modules(store, CPU).detector.state_dict()
        teacher = store.load_module("teacher_detector").state_dict
    assert learned.keys() == teacher.keys()
    for name, value in teacher.items():
        torch.testing.assert_close(learned[name], value, rtol=0, atol=1e-20)


def test_represent__stopped_anywhere_ends_alike(
    work: Path, represented: Path, open_students: OpenStudents, interrupted_after
) -> None:
    """Six windows give three steps; then there are three parts of attention."""
    workspace = open_students(work)
    for num_items in (2, 3 + 1):
        with interrupted_after(num_items) as progress:
            represent_detector(workspace, progress)
    with FolderStore.open(work / "cache") as store:
        assert store.committed_parts("representation") == {0}
    assert represent_detector(workspace)
    expected = attention_of(represented)
    for layer, found in attention_of(work).items():
        assert torch.equal(found, expected[layer])


def test_represent__other_settings(work: Path, open_students: OpenStudents) -> None:
    represent_detector(open_students(work))
    changed = open_students(work, "losses.localisation_weight=3.0")
    with pytest.raises(UsageError, match="other settings"):
        represent_detector(changed)
    shutil.rmtree(work / "representation")
    before = attention_of(work)
    assert represent_detector(changed)
    assert not all(torch.equal(before[layer], found) for layer, found in attention_of(work).items())
    with pytest.raises(FingerprintError, match=r"views\.seed"):
        represent_detector(open_students(work, "seed=7"))


def test_represent__released_heads(work: Path, open_students: OpenStudents) -> None:
    settings = "representation={num_epochs: 1, batch_size: 2, attention_head: released}"
    assert represent_detector(open_students(work, settings))
    for found in attention_of(work).values():
        assert ((found > 0) & (found < 1)).all()


def test_represent__too_few_windows(work: Path, open_students: OpenStudents) -> None:
    workspace = open_students(work, "representation={num_epochs: 1, batch_size: 16}")
    with pytest.raises(UsageError, match=r"6 windows .* expected at least one batch of 16"):
        represent_detector(workspace)
