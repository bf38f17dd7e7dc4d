"""One network in training, whatever its task: what it shows, what it learns, what is saved."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Generic, Literal, TypeVar

import torch
from torch import nn

from featkd.distillers import LossTerms
from featkd.models import PreprocessSpec, place
from featkd.training.checkpoint import Stateful
from featkd.training.lessons import Lesson, Lessons, SignalT
from featkd.training.network_spec import NetworkTrainingSpec
from featkd.training.optimiser import Optimiser
from featkd.training.runner import Run, Update

OutputT = TypeVar("OutputT")


@dataclass(frozen=True, slots=True)
class Generators(Generic[OutputT, SignalT]):
    """The student's CVAEs, which learn in a phase of their own.

    Attributes:
        module: the CVAEs.
        terms: their loss from what student and teacher say.
        noise: source of all noise.
        alternation: both phases in every step, or one pass of each in every epoch.
    """

    module: nn.Module
    terms: Callable[[OutputT, SignalT], LossTerms]
    noise: torch.Generator
    alternation: Literal["step", "epoch"]


@dataclass(frozen=True, slots=True)
class GeneratorPhase(Generic[OutputT, SignalT]):
    """The phase in which the student's CVAEs learn, and the student is only looked at."""

    generators: Generators[OutputT, SignalT]
    optimiser: Optimiser

    def learn(self, student: OutputT, signal: SignalT) -> dict[str, float]:
        """Take one step; returns the values of the terms."""
        terms = self.generators.terms(student, signal)
        self.optimiser.step(terms.total)
        return log_values(terms)


class NetworkTraining(ABC, Generic[OutputT, SignalT]):
    """One network in training; what it outputs and how that becomes a loss is its task's.

    Args:
        network: the student (or the teacher itself), moved to ``device``.
        distiller_modules: the distiller's own trainable parts.
        generators: the student's CVAEs, where the distiller has some.
        lessons: what is learned from; other networks may learn from the same ones.
        spec: epochs, optimisers; its batch size is that of the lessons.
        preprocess_spec: the network's input.
        device: where to train.
        seed: of dropout and noise.
    """

    def __init__(
        self,
        *,
        network: nn.Module,
        distiller_modules: nn.Module,
        generators: Generators[OutputT, SignalT] | None,
        lessons: Lessons[SignalT],
        spec: NetworkTrainingSpec,
        preprocess_spec: PreprocessSpec,
        device: torch.device,
        seed: int,
    ) -> None:
        self.lessons = lessons
        self.preprocess_spec = preprocess_spec
        self.device = device
        self.seed = seed
        self._network = place(network, device)
        self._num_epochs = spec.num_epochs
        self._precision = spec.precision
        schedule = {"steps_per_epoch": len(lessons), "num_epochs": spec.num_epochs}
        distiller_modules.to(device)
        self.optimiser = Optimiser(
            spec.optimiser,
            [*network.parameters(), *distiller_modules.parameters()],
            **schedule,
        )
        self.parts: dict[str, Stateful] = {
            "network": network,
            "distiller": distiller_modules,
            "optimiser": self.optimiser,
        }
        self._passes: list[Update[Lesson[SignalT]]] = [self._student_update]
        self._generators = generators
        if generators is not None:
            module = generators.module.to(device)
            phase = GeneratorPhase(
                generators,
                Optimiser(spec.generator_optimiser, module.parameters(), **schedule),
            )
            self.parts |= {"generator": module, "generator_optimiser": phase.optimiser}
            self._passes = (
                [partial(self._joint_update, phase)]
                if generators.alternation == "step"
                else [partial(self._generator_update, phase), self._student_update]
            )

    def run(self, folder: Path, *, settings: str) -> Run[Lesson[SignalT]]:
        """The run of this training, to be given to `featkd.training.loop`.

        Args:
            folder: where checkpoint and log live.
            settings: digest of everything that decides the result.
        """
        return Run(
            folder=folder,
            settings=settings,
            seed=self.seed,
            num_epochs=self._num_epochs,
            steps_per_epoch=len(self.lessons),
            batches=self.lessons.of_epoch,
            passes=self._passes,
            parts=self.parts,
            learning_rate=lambda: self.optimiser.learning_rate,
            begin_pass=self._begin_pass,
            end_epoch=self._end_epoch,
        )

    @abstractmethod
    def _loss(
        self, student: OutputT, lesson: Lesson[SignalT], epoch: int
    ) -> tuple[LossTerms, dict[str, float]]:
        """The loss of what the network made of a lesson, and further values to log."""

    def _end_epoch(self, epoch: int) -> None:
        """Called with an epoch that is done, before its checkpoint is saved."""

    def _begin_pass(self) -> None:
        if self._generators is not None:
            # The loop has just seeded torch from (seed, epoch); the noise follows, for resuming.
            self._generators.noise.manual_seed(torch.initial_seed())

    def _student(self, lesson: Lesson[SignalT]) -> OutputT:
        clips = lesson.clips(self.preprocess_spec, self.device)
        with self._autocast():
            output: OutputT = self._network(clips)
        return output

    def _autocast(self) -> AbstractContextManager[None]:
        return torch.autocast(
            self.device.type, dtype=torch.bfloat16, enabled=self._precision == "bfloat16"
        )

    def _student_update(
        self, lesson: Lesson[SignalT], epoch: int
    ) -> tuple[Mapping[str, float], int]:
        return self._learn(lesson, epoch, self._student(lesson))

    def _generator_update(
        self,
        phase: GeneratorPhase[OutputT, SignalT],
        lesson: Lesson[SignalT],
        epoch: int,  # noqa: ARG002 - every pass is called alike
    ) -> tuple[Mapping[str, float], int]:
        # The network is only looked at: evaluation mode keeps its running statistics still.
        self._network.eval()
        with torch.no_grad():
            student = self._student(lesson)
        self._network.train()
        values = phase.learn(student, lesson.signal_on(self.device))
        return values, len(lesson.batch.samples)

    def _joint_update(
        self, phase: GeneratorPhase[OutputT, SignalT], lesson: Lesson[SignalT], epoch: int
    ) -> tuple[Mapping[str, float], int]:
        student = self._student(lesson)
        generator_values = phase.learn(student, lesson.signal_on(self.device))
        values, weight = self._learn(lesson, epoch, student)
        return generator_values | values, weight

    def _learn(
        self, lesson: Lesson[SignalT], epoch: int, student: OutputT
    ) -> tuple[dict[str, float], int]:
        terms, values = self._loss(student, lesson, epoch)
        loss = terms.total
        self.optimiser.step(loss)
        return log_values(terms) | {"loss": loss.item()} | values, len(lesson.batch.samples)


def log_values(terms: LossTerms) -> dict[str, float]:
    """Values of the terms without their weights, for the log."""
    return {name: value.item() for name, value in terms.unweighted().items()}
