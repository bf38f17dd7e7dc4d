"""Training a video classifier on rendered views: a teacher from labels, a student by distillation.

A teacher is a student that nobody teaches: the same loop with the distiller ``none``.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from pydantic import Field

from featkd.cache.signal import SignalRequest, SignalSource
from featkd.distillers import Distiller, Generative, LossTerms, generative_part
from featkd.models import PreprocessSpec, VideoClassifier, place, preprocess
from featkd.training.checkpoint import Stateful
from featkd.training.loop import Run, Update, train
from featkd.training.optimiser import Optimiser, OptimiserSpec
from featkd.training.prefetch import prefetched
from featkd.training.views import Batch, RenderedViews, epoch_pairs
from featkd.types import Progress, Spec, StudentOutput, TeacherSignal

_SIGNALS_AHEAD = 2


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


@dataclass(frozen=True, slots=True)
class Lesson:
    """A batch and what the teacher says about it, still where its source put it."""

    batch: Batch
    signal: TeacherSignal


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
        source: what the teacher says; may be empty for a distiller that needs nothing.
        views: rendered at the network's size, and at the teacher's where the source needs it.
        samples: positions in ``views.clips`` to train on.
        row_of: cache row of (sample, view index).
        spec: epochs, batch size, optimisers.
        preprocess_spec: the network's input.
        teacher_size: pixels of the teacher's input; used where the source needs clips.
        device: where to train.
        seed: of batch order, dropout and noise.
    """

    def __init__(
        self,
        *,
        network: VideoClassifier,
        distiller: Distiller[Any],
        source: SignalSource,
        views: RenderedViews,
        samples: Sequence[int],
        row_of: Callable[[int, int], int],
        spec: TrainingSpec,
        preprocess_spec: PreprocessSpec,
        teacher_size: int,
        device: torch.device,
        seed: int,
    ) -> None:
        self.network = place(network, device)
        self.distiller = distiller
        self.source = source
        self.views = views
        self.samples = tuple(samples)
        self.row_of = row_of
        self.spec = spec
        self.preprocess_spec = preprocess_spec
        self.teacher_size = teacher_size
        self.device = device
        self.seed = seed
        self.steps_per_epoch = len(self.samples) // spec.batch_size
        schedule = {"steps_per_epoch": self.steps_per_epoch, "num_epochs": spec.num_epochs}
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
        self._passes: list[Update[Lesson]] = [self._student_update]
        self._generative = generative_part(distiller)
        if self._generative is not None:
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

    def run(self, folder: Path, *, settings: str, description: str, progress: Progress) -> float:
        """Train to the end, resuming what was begun; returns seconds.

        Raises:
            CheckpointError: the folder holds another run.
            VideoError: a video cannot be decoded.
            CacheError: the source cannot serve a row.
        """
        return train(
            Run(
                folder=folder,
                settings=settings,
                num_epochs=self.spec.num_epochs,
                steps_per_epoch=self.steps_per_epoch,
                batches=self.batches,
                passes=self._passes,
                parts=self.parts,
                learning_rate=lambda: self.optimiser.learning_rate,
            ),
            seed=self.seed,
            description=description,
            progress=progress,
        )

    def batches(self, epoch: int) -> Iterator[Lesson]:
        """The lessons of an epoch, counted from 1.

        Signals that are only read come from a thread of their own, ahead of need; a teacher in the
        loop answers when its batch is due, since it needs the processor that the network needs.
        """
        if self._generative is not None:
            # The loop has just seeded torch from (seed, epoch); the noise follows, for resuming.
            self._generative.noise.manual_seed(torch.initial_seed())
        pairs = epoch_pairs(
            self.samples, num_views=self.views.spec.num_views, epoch=epoch, seed=self.seed
        )
        batches = self.views.batches(pairs, batch_size=self.spec.batch_size, drop_last=True)
        if self.source.needs_clips:
            return (Lesson(batch, self._ask(batch)) for batch in batches)
        ahead = prefetched(batches, self._ask, depth=_SIGNALS_AHEAD)
        return (Lesson(batch, signal) for batch, signal in ahead)

    def _ask(self, batch: Batch) -> TeacherSignal:
        return self.source.signal(
            SignalRequest(
                rows=tuple(map(self.row_of, batch.samples, batch.view_indices)),
                teacher_clips=batch.clips[self.teacher_size] if self.source.needs_clips else None,
            )
        )

    def _student(self, batch: Batch) -> StudentOutput:
        clips = preprocess(
            batch.clips[self.preprocess_spec.size], self.preprocess_spec, self.device
        )
        with self._autocast():
            output: StudentOutput = self.network(clips)
        return output

    def _autocast(self) -> AbstractContextManager[None]:
        return torch.autocast(
            self.device.type, dtype=torch.bfloat16, enabled=self.spec.precision == "bfloat16"
        )

    def _student_update(self, lesson: Lesson, epoch: int) -> tuple[Mapping[str, float], int]:
        student = self._student(lesson.batch)
        return self._learn(lesson.batch, epoch, student, lesson.signal.to(self.device))

    def _generator_update(
        self,
        phase: GeneratorPhase,
        lesson: Lesson,
        epoch: int,  # noqa: ARG002 - every pass is called alike
    ) -> tuple[Mapping[str, float], int]:
        # The network is only looked at: evaluation mode keeps its running statistics still.
        self.network.eval()
        with torch.no_grad():
            student = self._student(lesson.batch)
        self.network.train()
        values = phase.learn(student, lesson.signal.to(self.device))
        return values, len(lesson.batch.samples)

    def _joint_update(
        self, phase: GeneratorPhase, lesson: Lesson, epoch: int
    ) -> tuple[Mapping[str, float], int]:
        student, signal = self._student(lesson.batch), lesson.signal.to(self.device)
        generator_values = phase.learn(student, signal)
        values, weight = self._learn(lesson.batch, epoch, student, signal)
        return generator_values | values, weight

    def _learn(
        self, batch: Batch, epoch: int, student: StudentOutput, signal: TeacherSignal
    ) -> tuple[dict[str, float], int]:
        labels = batch.labels.to(self.device)
        terms = self.distiller(student, signal, labels, epoch)
        loss = terms.total
        self.optimiser.step(loss)
        top1 = (student.logits.detach().argmax(dim=1) == labels).float().mean()
        return _log_values(terms) | {"loss": loss.item(), "top1": top1.item()}, len(labels)


def _log_values(terms: LossTerms) -> dict[str, float]:
    return {name: value.item() for name, value in terms.unweighted().items()}
