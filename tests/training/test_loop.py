from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import torch
from torch import nn

from featkd.errors import CheckpointError
from featkd.training.loop import Run, train
from featkd.training.optimiser import Optimiser, OptimiserSpec
from featkd.types import Silent


class InterruptedRunError(Exception):
    pass


def make_run(
    folder: Path, *, settings: str = "a", stop_at: int | None = None
) -> tuple[nn.Linear, Run]:
    torch.manual_seed(0)
    model = nn.Linear(3, 1)
    optimiser = Optimiser(
        OptimiserSpec(learning_rate=0.1), model.parameters(), steps_per_epoch=4, num_epochs=3
    )
    steps = 0

    def batches(epoch: int) -> Iterator[torch.Tensor]:
        generator = torch.Generator().manual_seed(epoch)
        for _ in range(4):
            yield torch.randn(2, 3, generator=generator)

    def update(batch: torch.Tensor, epoch: int) -> tuple[Mapping[str, float], int]:
        nonlocal steps
        steps += 1
        if steps == stop_at:
            raise InterruptedRunError
        loss = (model(batch) + torch.randn(1)).square().mean()  # draws, as dropout would
        optimiser.step(loss)
        return {"loss": loss.item()}, 2

    run = Run(
        folder=folder,
        settings=settings,
        num_epochs=3,
        steps_per_epoch=4,
        batches=batches,
        passes=[update],
        parts={"model": model, "optimiser": optimiser},
        learning_rate=lambda: optimiser.learning_rate,
    )
    return model, run


@pytest.mark.parametrize("stop_at", [1, 4, 5, 7, 12])
def test_train__stopped_and_resumed_equals_uninterrupted(tmp_path: Path, stop_at: int) -> None:
    whole, run = make_run(tmp_path / "whole")
    train(run, seed=5, description="x", progress=Silent())

    _, broken = make_run(tmp_path / "broken", stop_at=stop_at)
    with pytest.raises(InterruptedRunError):
        train(broken, seed=5, description="x", progress=Silent())
    resumed, again = make_run(tmp_path / "broken")
    train(again, seed=5, description="x", progress=Silent())

    assert torch.equal(whole.weight, resumed.weight)

    def losses(folder: Path) -> list[str]:
        lines = (folder / "metrics.jsonl").read_text().splitlines()
        return [line.split('"learning_rate"')[1] for line in lines]

    assert losses(tmp_path / "whole") == losses(tmp_path / "broken")
    assert len(losses(tmp_path / "whole")) == 3


def test_train__finished_run_does_nothing(tmp_path: Path) -> None:
    _, run = make_run(tmp_path)
    train(run, seed=5, description="x", progress=Silent())
    _, again = make_run(tmp_path, stop_at=1)  # would raise if it took a step
    assert train(again, seed=5, description="x", progress=Silent()) > 0


def test_train__other_settings_are_refused(tmp_path: Path) -> None:
    _, run = make_run(tmp_path)
    train(run, seed=5, description="x", progress=Silent())
    _, other = make_run(tmp_path, settings="b")
    with pytest.raises(CheckpointError, match="other settings"):
        train(other, seed=5, description="x", progress=Silent())


@pytest.mark.parametrize("content", [b"", b"garbage", b"PK\x03\x04 half a zip"])
def test_train__damaged_checkpoint_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "checkpoint.pt").write_bytes(content)
    _, run = make_run(tmp_path)
    with pytest.raises(CheckpointError, match=r"checkpoint\.pt is damaged"):
        train(run, seed=5, description="x", progress=Silent())


def test_train__half_written_log_line_is_dropped(tmp_path: Path) -> None:
    _, run = make_run(tmp_path, stop_at=6)
    with pytest.raises(InterruptedRunError):
        train(run, seed=5, description="x", progress=Silent())
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"epoch": 2, "sec')
    _, again = make_run(tmp_path)
    train(again, seed=5, description="x", progress=Silent())
    assert len((tmp_path / "metrics.jsonl").read_text().splitlines()) == 3
