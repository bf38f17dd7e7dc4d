"""The epoch loop all training shares: passes over batches, log, checkpoint, resume."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from featkd.training.checkpoint import Stateful, load_checkpoint, save_checkpoint
from featkd.training.metric_log import Averages, MetricLog
from featkd.training.seeding import seed_everything
from featkd.types import Progress

BatchT = TypeVar("BatchT")

Update = Callable[[BatchT, int], tuple[Mapping[str, float], int]]
"""Trains on one batch in an epoch (from 1); returns values to average, and the batch size."""


@dataclass(frozen=True)
class Run(Generic[BatchT]):
    """One training run.

    Attributes:
        folder: where checkpoint and log live.
        settings: digest of everything that decides the result.
        num_epochs: how many epochs in all.
        steps_per_epoch: batches of one pass.
        batches: the batches of an epoch (from 1); called once for each pass.
        passes: updates; every epoch runs each of them over all its batches, in order.
        parts: what the checkpoint holds.
        learning_rate: rate to log.
    """

    folder: Path
    settings: str
    num_epochs: int
    steps_per_epoch: int
    batches: Callable[[int], Iterable[BatchT]]
    passes: Sequence[Update[BatchT]]
    parts: Mapping[str, Stateful]
    learning_rate: Callable[[], float]


def train(run: Run[BatchT], *, seed: int, description: str, progress: Progress) -> float:
    """Run the epochs that are not done yet.

    A run stopped at any moment goes on from its last finished epoch and ends with the weights an
    uninterrupted run would have.

    Returns:
        Seconds spent over all epochs, those of earlier sessions included.

    Raises:
        CheckpointError: the folder's checkpoint is damaged or was made with other settings.
    """
    run.folder.mkdir(parents=True, exist_ok=True)
    checkpoint = run.folder / "checkpoint.pt"
    finished = load_checkpoint(checkpoint, settings=run.settings, parts=run.parts)
    log = MetricLog(run.folder / "metrics.jsonl", finished_epochs=finished)
    steps = run.steps_per_epoch * len(run.passes)

    def work() -> Iterable[tuple[int, int, BatchT]]:
        for epoch in range(finished + 1, run.num_epochs + 1):
            for position in range(len(run.passes)):
                for batch in run.batches(epoch):
                    yield epoch, position, batch

    tracked = progress.track(
        work(),
        description=description,
        total=steps * run.num_epochs,
        unit="step",
        done=steps * finished,
    )
    averages, started, done_steps = Averages(), time.perf_counter(), 0
    seed_everything(seed, finished + 1)
    for epoch, position, batch in tracked:
        values, weight = run.passes[position](batch, epoch)
        averages.add(values, weight)
        done_steps += 1
        if done_steps == steps:
            log.append(
                {
                    "epoch": epoch,
                    "seconds": time.perf_counter() - started,
                    "learning_rate": run.learning_rate(),
                    **averages.means("train"),
                }
            )
            save_checkpoint(checkpoint, epoch=epoch, settings=run.settings, parts=run.parts)
            averages, started, done_steps = Averages(), time.perf_counter(), 0
            seed_everything(seed, epoch + 1)
    return log.total_seconds()
