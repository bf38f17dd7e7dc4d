"""The epoch loop all training shares: batches are made once and every run learns from them."""

import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Generic

from featkd.errors import UsageError
from featkd.training.runner import BatchT, Run, Runner
from featkd.types import Progress


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended.

    Attributes:
        seconds: spent over all finished epochs, those of earlier sessions included. What several
            runs waited for together is divided equally.
        error: what ended it early; None where it is complete.
    """

    seconds: float
    error: Exception | None = None


def train(run: Run[BatchT], *, description: str, progress: Progress) -> float:
    """Run the epochs that are not done yet.

    A run stopped at any moment goes on from its last finished epoch and ends with the weights an
    uninterrupted run would have.

    Returns:
        Seconds spent over all epochs, those of earlier sessions included.

    Raises:
        CheckpointError: the folder's checkpoint is damaged or was made with other settings.
        TrainingError: a loss is not finite.
    """
    (outcome,) = train_together([run], description=description, progress=progress)
    if outcome.error is not None:
        raise outcome.error
    return outcome.seconds


def train_together(
    runs: Sequence[Run[BatchT]], *, description: str, progress: Progress
) -> list[Outcome]:
    """Run the epochs that are not done yet of several runs, one pass over the batches for all.

    Each run ends with the weights it would have alone. A run that fails is taken out and the others
    go on; where the batches themselves fail, all do. A run has as many epochs and passes as it
    wants, and takes no part in those it has finished.

    Args:
        runs: one or more, with the same ``batches`` and ``steps_per_epoch``.
        description: of the work, for its progress.
        progress: shows a step for each batch, whatever the number of runs.

    Returns:
        How each run ended, in their order.

    Raises:
        UsageError: the runs see different batches.
    """
    if any(
        (run.batches, run.steps_per_epoch) != (runs[0].batches, runs[0].steps_per_epoch)
        for run in runs
    ):
        folders = ", ".join(str(run.folder) for run in runs)
        raise UsageError(f"runs {folders} see different batches; expected the same for all")
    members = [_Member(run) for run in runs]
    able = [member for member in members if member.is_able]
    if able:
        _teach(able, description, progress)
    return [member.outcome() for member in members]


def _teach(members: Sequence["_Member[BatchT]"], description: str, progress: Progress) -> None:
    steps_per_epoch = members[0].run.steps_per_epoch
    num_steps = steps_per_epoch * _num_passes(members, [0] * len(members))
    num_left = steps_per_epoch * _num_passes(members, [each.finished_epochs for each in members])
    tracked = progress.track(
        _batches_wanted(members),
        description=description,
        total=num_steps,
        unit="step",
        done=num_steps - num_left,
    )
    try:
        asked = time.perf_counter()
        for epoch, position, batch in tracked:
            taking_part = [member for member in members if member.wants(epoch, position)]
            waited = (time.perf_counter() - asked) / len(taking_part)
            for member in taking_part:
                member.learn(batch, epoch, waited_seconds=waited)
            asked = time.perf_counter()
    except Exception as error:  # noqa: BLE001 - every member keeps it; no batch comes any more
        for member in members:
            member.fail(error)


class _Member(Generic[BatchT]):
    """A run among others: what it raises is kept and ends it alone."""

    def __init__(self, run: Run[BatchT]) -> None:
        self.run = run
        self._runner: Runner[BatchT] | None = None
        self._error: Exception | None = None
        try:
            self._runner = Runner(run)
        except Exception as error:  # noqa: BLE001 - kept for the outcome
            self.fail(error)

    @property
    def is_able(self) -> bool:
        """Whether nothing has ended it early."""
        return self._error is None

    @property
    def finished_epochs(self) -> int:
        return self._runner.finished_epochs if self._runner is not None else 0

    def wants(self, epoch: int, position: int) -> bool:
        """Whether it still has to learn from the batches of a pass."""
        return (
            self.is_able
            and self.finished_epochs < epoch <= self.run.num_epochs
            and position < len(self.run.passes)
        )

    def learn(self, batch: BatchT, epoch: int, *, waited_seconds: float) -> None:
        assert self._runner is not None  # noqa: S101 - else it wants nothing
        try:
            self._runner.learn(batch, epoch, waited_seconds=waited_seconds)
        except Exception as error:  # noqa: BLE001 - kept for the outcome
            self.fail(error)

    def fail(self, error: Exception) -> None:
        if self.is_able and self.finished_epochs < self.run.num_epochs:
            # Its frames hold the activations of the step that failed.
            traceback.clear_frames(error.__traceback__)
            self._error = error

    def outcome(self) -> Outcome:
        seconds = self._runner.total_seconds() if self._runner is not None else 0.0
        return Outcome(seconds, self._error)


def _num_passes(members: Sequence[_Member[BatchT]], finished_epochs: Sequence[int]) -> int:
    """Passes over the batches that are left after so many epochs of each member."""
    passes: dict[int, int] = {}
    for member, finished in zip(members, finished_epochs, strict=True):
        for epoch in range(finished + 1, member.run.num_epochs + 1):
            passes[epoch] = max(passes.get(epoch, 0), len(member.run.passes))
    return sum(passes.values())


def _batches_wanted(members: Sequence[_Member[BatchT]]) -> Iterator[tuple[int, int, BatchT]]:
    """Epoch, position of the pass and batch, as long as some member wants it."""
    for epoch in range(1, max(member.run.num_epochs for member in members) + 1):
        for position in range(max(len(member.run.passes) for member in members)):
            if not any(member.wants(epoch, position) for member in members):
                continue
            for batch in members[0].run.batches(epoch):
                yield epoch, position, batch
                if not any(member.wants(epoch, position) for member in members):
                    break
