"""One training run, and how far it has come: what it counts, when it logs, what it saves."""

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from featkd.errors import TrainingError
from featkd.training.checkpoint import Stateful, load_checkpoint, save_checkpoint
from featkd.training.metric_log import Averages, MetricLog
from featkd.training.seeding import RandomState, seed_everything

BatchT = TypeVar("BatchT")

Update = Callable[[BatchT, int], tuple[Mapping[str, float], int]]
"""Trains on one batch in an epoch (from 1); returns values to average, and the batch size."""


@dataclass(frozen=True)
class Run(Generic[BatchT]):
    """One training run.

    Attributes:
        folder: where checkpoint and log live.
        settings: digest of everything that decides the result.
        seed: of what is drawn in training; every epoch starts from (seed, epoch).
        num_epochs: how many epochs in all.
        steps_per_epoch: batches of one pass.
        batches: the batches of an epoch (from 1); called once for each pass. It must not draw from
            a global generator.
        passes: updates; every epoch runs each of them over all its batches, in order.
        parts: what the checkpoint holds.
        learning_rate: rate to log.
        begin_pass: called before the first batch of a pass, when the generators are set.
        end_epoch: called with an epoch, from 1, that is done, before its checkpoint is saved.
    """

    folder: Path
    settings: str
    seed: int
    num_epochs: int
    steps_per_epoch: int
    batches: Callable[[int], Iterable[BatchT]]
    passes: Sequence[Update[BatchT]]
    parts: Mapping[str, Stateful]
    learning_rate: Callable[[], float]
    begin_pass: Callable[[], None] = lambda: None
    end_epoch: Callable[[int], None] = lambda _: None


class Runner(Generic[BatchT]):
    """A run on its way, taken up after its last finished epoch.

    Between two batches it leaves nothing behind in the global generators that it relies on, so that
    several runs can take turns.

    Args:
        run: what to do.

    Attributes:
        run: what to do.
        finished_epochs: that the checkpoint holds.

    Raises:
        CheckpointError: the folder's checkpoint is damaged or was made with other settings.
    """

    def __init__(self, run: Run[BatchT]) -> None:
        self.run = run
        run.folder.mkdir(parents=True, exist_ok=True)
        self._checkpoint = run.folder / "checkpoint.pt"
        self.finished_epochs = load_checkpoint(
            self._checkpoint, settings=run.settings, parts=run.parts
        )
        self._log = MetricLog(run.folder / "metrics.jsonl", finished_epochs=self.finished_epochs)
        self._num_steps, self._seconds, self._averages = 0, 0.0, Averages()
        self._random: RandomState | None = None

    def learn(self, batch: BatchT, epoch: int, *, waited_seconds: float) -> None:
        """Take the next step of an epoch; the last one is followed by log and checkpoint.

        Args:
            batch: to learn from.
            epoch: from 1.
            waited_seconds: time spent on getting the batch, to be counted as the run's own.

        Raises:
            TrainingError: a value is not finite. What was learned in this epoch is lost.
        """
        started = time.perf_counter()
        position, step = divmod(self._num_steps, self.run.steps_per_epoch)
        if self._random is None:
            seed_everything(self.run.seed, epoch)
        else:
            self._random.restore()
        if step == 0:
            self.run.begin_pass()
        values, weight = self.run.passes[position](batch, epoch)
        self._random = RandomState.capture()
        self._require_finite(values, epoch)
        self._averages.add(values, weight)
        self._num_steps += 1
        self._seconds += waited_seconds + time.perf_counter() - started
        if self._num_steps == self.run.steps_per_epoch * len(self.run.passes):
            self._end_epoch(epoch)

    def total_seconds(self) -> float:
        """Training time of all finished epochs, those of earlier sessions included."""
        return self._log.total_seconds()

    def _end_epoch(self, epoch: int) -> None:
        run = self.run
        run.end_epoch(epoch)
        self._log.append(
            {
                "epoch": epoch,
                "seconds": self._seconds,
                "learning_rate": run.learning_rate(),
                **self._averages.means("train"),
            }
        )
        save_checkpoint(self._checkpoint, epoch=epoch, settings=run.settings, parts=run.parts)
        self.finished_epochs = epoch
        self._num_steps, self._seconds, self._averages = 0, 0.0, Averages()
        self._random = None

    def _require_finite(self, values: Mapping[str, float], epoch: int) -> None:
        for name, value in values.items():
            if not math.isfinite(value):
                raise TrainingError(
                    f"{self.run.folder}: {name} is {value} in epoch {epoch}; expected a finite "
                    "value, so the run ends here; a lower learning rate or a smaller weight of "
                    "that term may help"
                )
