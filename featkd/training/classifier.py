"""Training a video classifier on rendered views: a teacher from labels, a student by distillation.

A teacher is a student that nobody teaches: the same loop with the distiller ``none``.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from pydantic import Field

from featkd.distillers import Distiller, Generative, LossTerms, generative_part
from featkd.models import Network, PreprocessSpec, place
from featkd.training.checkpoint import Stateful
from featkd.training.lessons import Lesson, Lessons
from featkd.training.logit_recorder import TRAJECTORY_FILE, LogitRecorder
from featkd.training.optimiser import Optimiser, OptimiserSpec
from featkd.training.runner import Run, Update
from featkd.types import Spec, StudentOutput, TeacherSignal


class TrainingSpec(Spec):
    """How a classifier is trained."""

    num_epochs: Annotated[int, Field(ge=1)] = 200
    """Epochs; each shows one view of every clip."""
    batch_size: Annotated[int, Field(ge=1)] = 6
    """Clips a step; an incomplete last batch is left out."""
    optimiser: OptimiserSpec = OptimiserSpec()
    """Moves the network and the distiller's own modules."""
    generator_optimiser: OptimiserSpec = OptimiserSpec(
        kind="adam", learning_rate=1e-4, momentum=0.8, weight_decay=0.0
    )
    """Moves the student's CVAE, where the distiller has one."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Autocast of the network; losses are float32 in any case."""
    batch_order: Literal["seed", "recipe"] = "seed"
    """Whose seed shuffles the clips: the run's own, or the recipe's, so that students of several
    seeds share one pass over the data. Then the order is no part of what varies between seeds, and
    their spread comes out smaller than it is."""
    record_logits: bool = False
    """Keep the logits of every step, so that collaborative teaching can replay them: float16, for
    each epoch and clip of the split."""


@dataclass(frozen=True, slots=True)
class GeneratorPhase:
    """The phase in which the student's CVAE learns, and the student is only looked at."""

    distiller: Generative
    optimiser: Optimiser

    def learn(self, student: StudentOutput, signal: TeacherSignal) -> dict[str, float]:
        """Take one step; returns the values of the terms."""
        terms = self.distiller.generator_terms(student, signal)
        self.optimiser.step(terms.total)
        return _log_values(terms)


class ClassifierTraining:
    """One network in training.

    Args:
        network: the student (or the teacher itself), moved to ``device``.
        distiller: gives the loss.
        lessons: what is learned from; other networks may learn from the same ones.
        spec: epochs, optimisers; its batch size and order are those of the lessons.
        preprocess_spec: the network's input.
        device: where to train.
        seed: of dropout and noise.
    """

    def __init__(
        self,
        *,
        network: Network,
        distiller: Distiller[Any],
        lessons: Lessons,
        spec: TrainingSpec,
        preprocess_spec: PreprocessSpec,
        device: torch.device,
        seed: int,
    ) -> None:
        self.network = place(network, device)
        self.distiller = distiller
        self.lessons = lessons
        self.spec = spec
        self.preprocess_spec = preprocess_spec
        self.device = device
        self.seed = seed
        schedule = {"steps_per_epoch": len(lessons), "num_epochs": spec.num_epochs}
        distiller.modules.to(device)
        self.optimiser = Optimiser(
            spec.optimiser,
            [*network.parameters(), *distiller.modules.parameters()],
            **schedule,
        )
        self.parts: dict[str, Stateful] = {
            "network": network,
            "distiller": distiller.modules,
            "optimiser": self.optimiser,
        }
        self._recorder: LogitRecorder | None = None
        self._passes: list[Update[Lesson]] = [self._student_update]
        self._generative = generative_part(distiller)
        if self._generative is not None and self._generative.generator is not None:
            generator = self._generative.generator.to(device)
            phase = GeneratorPhase(
                self._generative,
                Optimiser(spec.generator_optimiser, generator.parameters(), **schedule),
            )
            self.parts |= {"generator": generator, "generator_optimiser": phase.optimiser}
            self._passes = (
                [partial(self._joint_update, phase)]
                if self._generative.config.alternation == "step"
                else [partial(self._generator_update, phase), self._student_update]
            )

    def run(self, folder: Path, *, settings: str) -> Run[Lesson]:
        """The run of this training, to be given to `featkd.training.loop`.

        Args:
            folder: where checkpoint and log live, and the logits where they are recorded.
            settings: digest of everything that decides the result.
        """
        if self.spec.record_logits:
            views = self.lessons.views
            self._recorder = LogitRecorder(
                folder / TRAJECTORY_FILE,
                num_epochs=self.spec.num_epochs,
                num_views=views.spec.num_views,
                num_clips=len(views.clips),
            )
        return Run(
            folder=folder,
            settings=settings,
            seed=self.seed,
            num_epochs=self.spec.num_epochs,
            steps_per_epoch=len(self.lessons),
            batches=self.lessons.of_epoch,
            passes=self._passes,
            parts=self.parts,
            learning_rate=lambda: self.optimiser.learning_rate,
            begin_pass=self._begin_pass,
            end_epoch=self._end_epoch,
        )

    def _begin_pass(self) -> None:
        if self._generative is not None:
            # The loop has just seeded torch from (seed, epoch); the noise follows, for resuming.
            self._generative.noise.manual_seed(torch.initial_seed())

    def _end_epoch(self, epoch: int) -> None:
        if self._recorder is not None:
            self._recorder.end_epoch(epoch)

    def _student(self, lesson: Lesson) -> StudentOutput:
        clips = lesson.clips(self.preprocess_spec, self.device)
        with self._autocast():
            output: StudentOutput = self.network(clips)
        return output

    def _autocast(self) -> AbstractContextManager[None]:
        return torch.autocast(
            self.device.type, dtype=torch.bfloat16, enabled=self.spec.precision == "bfloat16"
        )

    def _student_update(self, lesson: Lesson, epoch: int) -> tuple[Mapping[str, float], int]:
        return self._learn(lesson, epoch, self._student(lesson))

    def _generator_update(
        self,
        phase: GeneratorPhase,
        lesson: Lesson,
        epoch: int,  # noqa: ARG002 - every pass is called alike
    ) -> tuple[Mapping[str, float], int]:
        # The network is only looked at: evaluation mode keeps its running statistics still.
        self.network.eval()
        with torch.no_grad():
            student = self._student(lesson)
        self.network.train()
        values = phase.learn(student, lesson.signal_on(self.device))
        return values, len(lesson.batch.samples)

    def _joint_update(
        self, phase: GeneratorPhase, lesson: Lesson, epoch: int
    ) -> tuple[Mapping[str, float], int]:
        student = self._student(lesson)
        generator_values = phase.learn(student, lesson.signal_on(self.device))
        values, weight = self._learn(lesson, epoch, student)
        return generator_values | values, weight

    def _learn(
        self, lesson: Lesson, epoch: int, student: StudentOutput
    ) -> tuple[dict[str, float], int]:
        labels = lesson.batch.labels.to(self.device)
        terms = self.distiller(student, lesson.signal_on(self.device), labels, epoch)
        loss = terms.total
        self.optimiser.step(loss)
        if self._recorder is not None:
            self._recorder.add(lesson.batch.samples, student.logits)
        top1 = (student.logits.detach().argmax(dim=1) == labels).float().mean()
        return _log_values(terms) | {"loss": loss.item(), "top1": top1.item()}, len(labels)


def _log_values(terms: LossTerms) -> dict[str, float]:
    return {name: value.item() for name, value in terms.unweighted().items()}
