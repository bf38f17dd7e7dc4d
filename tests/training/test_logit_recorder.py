from pathlib import Path

import numpy as np
import pytest
import torch

from featkd.errors import CheckpointError
from featkd.training.logit_recorder import LogitRecorder

NUM_EPOCHS, NUM_VIEWS, NUM_CLIPS, NUM_CLASSES = 5, 2, 4, 3


def recorder(path: Path) -> LogitRecorder:
    return LogitRecorder(path, num_epochs=NUM_EPOCHS, num_views=NUM_VIEWS, num_clips=NUM_CLIPS)


def steps(epoch: int) -> list[tuple[list[int], torch.Tensor]]:
    """Two steps of an epoch, which leave out one clip."""
    generator = torch.Generator().manual_seed(epoch)
    order = [(clip + epoch) % NUM_CLIPS for clip in range(3)]
    return [
        (samples, torch.randn(len(samples), NUM_CLASSES, generator=generator))
        for samples in (order[:2], order[2:])
    ]


def record(target: LogitRecorder, epochs: range) -> None:
    for epoch in epochs:
        for samples, logits in steps(epoch):
            target.add(samples, logits)
        target.end_epoch(epoch)


def test_logit_recorder__every_step_has_its_place(tmp_path: Path) -> None:
    record(recorder(tmp_path / "t.npy"), range(1, NUM_EPOCHS + 1))
    found = np.load(tmp_path / "t.npy")
    assert found.dtype == np.float16
    expected = np.full((3, NUM_VIEWS, NUM_CLIPS, NUM_CLASSES), np.nan, np.float16)
    for epoch in range(1, NUM_EPOCHS + 1):
        for samples, logits in steps(epoch):
            for sample, row in zip(samples, logits, strict=True):
                expected[(epoch - 1) // 2, (epoch - 1) % 2, sample] = row.half().numpy()
    np.testing.assert_array_equal(found, expected)
    assert np.isnan(found[..., 0]).sum() == NUM_EPOCHS + NUM_CLIPS  # a sixth epoch never was


def test_logit_recorder__an_epoch_that_broke_off_leaves_nothing(tmp_path: Path) -> None:
    record(recorder(tmp_path / "whole.npy"), range(1, NUM_EPOCHS + 1))
    record(recorder(tmp_path / "broken.npy"), range(1, 3))
    recorder(tmp_path / "broken.npy").add([0, 1], torch.ones(2, NUM_CLASSES))
    record(recorder(tmp_path / "broken.npy"), range(2, NUM_EPOCHS + 1))
    assert (tmp_path / "broken.npy").read_bytes() == (tmp_path / "whole.npy").read_bytes()


def test_logit_recorder__the_first_epoch_begins_anew(tmp_path: Path) -> None:
    record(recorder(tmp_path / "t.npy"), range(1, NUM_EPOCHS + 1))
    record(recorder(tmp_path / "t.npy"), range(1, 2))
    found = np.load(tmp_path / "t.npy")
    assert np.isnan(found[..., 0]).sum() == found[..., 0].size - 3


@pytest.mark.parametrize("state", ["missing", "short"])
def test_logit_recorder__epochs_before_are_gone(tmp_path: Path, state: str) -> None:
    path = tmp_path / "t.npy"
    record(recorder(path), range(1, 3))
    path.write_bytes(path.read_bytes()[:-1])
    if state == "missing":
        path.unlink()
    with pytest.raises(CheckpointError, match=r"t\.npy is missing or not of 272 bytes"):
        record(recorder(path), range(3, 4))
