"""Training a video classifier on rendered views: a teacher from labels, a student by distillation.

A teacher is a student that nobody teaches: the same loop with the distiller ``none``.
"""

from pathlib import Path
from typing import Any, Literal

import torch

from featkd.distillers import Distiller, LossTerms, generative_part
from featkd.models import Network, PreprocessSpec
from featkd.training.lessons import Lesson, Lessons
from featkd.training.logit_recorder import TRAJECTORY_FILE, LogitRecorder
from featkd.training.network_spec import NetworkTrainingSpec
from featkd.training.network_training import Generators, NetworkTraining
from featkd.training.runner import Run
from featkd.types import StudentOutput, TeacherSignal


class TrainingSpec(NetworkTrainingSpec):
    """How a classifier is trained."""

    batch_order: Literal["seed", "recipe"] = "seed"
    """Whose seed shuffles the clips: the run's own, or the recipe's, so that students of several
    seeds share one pass over the data. Then the order is no part of what varies between seeds, and
    their spread comes out smaller than it is."""
    record_logits: bool = False
    """Keep the logits of every step, so that collaborative teaching can replay them: float16, for
    each epoch and clip of the split."""


class ClassifierTraining(NetworkTraining[StudentOutput, TeacherSignal]):
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
        lessons: Lessons[TeacherSignal],
        spec: TrainingSpec,
        preprocess_spec: PreprocessSpec,
        device: torch.device,
        seed: int,
    ) -> None:
        super().__init__(
            network=network,
            distiller_modules=distiller.modules,
            generators=_generators(distiller),
            lessons=lessons,
            spec=spec,
            preprocess_spec=preprocess_spec,
            device=device,
            seed=seed,
        )
        self.network = network
        self.distiller = distiller
        self.spec = spec
        self._recorder: LogitRecorder | None = None

    def run(self, folder: Path, *, settings: str) -> Run[Lesson[TeacherSignal]]:
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
        return super().run(folder, settings=settings)

    def _end_epoch(self, epoch: int) -> None:
        if self._recorder is not None:
            self._recorder.end_epoch(epoch)

    def _loss(
        self, student: StudentOutput, lesson: Lesson[TeacherSignal], epoch: int
    ) -> tuple[LossTerms, dict[str, float]]:
        labels = lesson.batch.labels.to(self.device)
        terms = self.distiller(student, lesson.signal_on(self.device), labels, epoch)
        if self._recorder is not None:
            self._recorder.add(lesson.batch.samples, student.logits)
        top1 = (student.logits.detach().argmax(dim=1) == labels).float().mean()
        return terms, {"top1": top1.item()}


def _generators(distiller: Distiller[Any]) -> Generators[StudentOutput, TeacherSignal] | None:
    generative = generative_part(distiller)
    if generative is None or generative.generator is None:
        return None
    return Generators(
        generative.generator,
        generative.generator_terms,
        generative.noise,
        generative.config.alternation,
    )
