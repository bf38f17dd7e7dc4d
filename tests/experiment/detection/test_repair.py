"""Repair of what a representation for detection left beside and in a cache."""

from collections.abc import Callable
from pathlib import Path

import torch

from featkd.cache import FolderStore
from featkd.cache.verify import verify
from featkd.experiment.detection.workspace import DetectionWorkspace
from featkd.extract.repair import repair

OpenStudents = Callable[..., DetectionWorkspace]


def attention_of(folder: Path) -> torch.Tensor:
    with FolderStore.open(folder / "cache") as store:
        return store.read_rows("attention/Mixed_4f", range(store.num_rows))


def test_repair__attention_is_computed_again(
    own_represented: Path, open_students: OpenStudents
) -> None:
    before = attention_of(own_represented)
    part = own_represented / "cache" / "arrays" / "attention" / "Mixed_4f" / "c.1.0.0"
    part.write_bytes(part.read_bytes()[:-3])
    summary = repair(open_students(own_represented))
    assert summary.retracted == {"representation": [1]}
    assert summary.still_damaged == []
    assert torch.equal(attention_of(own_represented), before)


def test_repair__damaged_modules_are_trained_again(
    own_represented: Path, open_students: OpenStudents
) -> None:
    before = attention_of(own_represented)
    module = own_represented / "cache" / "modules" / "cvaes.safetensors"
    module.write_bytes(module.read_bytes()[:100])
    workspace = open_students(own_represented)
    summary = repair(workspace)
    assert summary.restored == ["modules/cvaes"]
    assert summary.retracted == {"representation": [0, 1, 2]}
    assert verify(own_represented / "cache").damages == ()
    torch.testing.assert_close(attention_of(own_represented), before, atol=1e-4, rtol=0)
