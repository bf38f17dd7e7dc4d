"""One run of training, teacher or student, from settings to a finished folder."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, Literal, TypeVar

from featkd.cache import Fingerprint, Mismatch
from featkd.detection.checkpoint import DetectorCard
from featkd.errors import UsageError
from featkd.evaluation import measure_cost
from featkd.experiment.run_folder import begin, finish, is_finished
from featkd.experiment.workspace import WorkspaceT
from featkd.models import NetworkCard
from featkd.training import (
    Lessons,
    LessonSource,
    NetworkTraining,
    NetworkTrainingSpec,
    RenderedViews,
    seed_everything,
    train,
)
from featkd.training.lessons import SignalT
from featkd.types import Progress, Spec

TrainingT = TypeVar("TrainingT", bound=NetworkTraining[Any, Any])


@dataclass(frozen=True, kw_only=True)
class BaseRun(ABC, Generic[WorkspaceT, SignalT, TrainingT]):
    """All that decides one run, whatever its task.

    Attributes:
        task: what is trained for.
        sample_noun: what it learns from, in the plural.
        kind: who is trained.
        name: of the run, for tables.
        seed: of initialisation, order and noise.
        folder: the run folder.
        card: the network.
        training: epochs, batch size, optimisers.
        distiller: what gives the loss.
        fingerprint: of the cache that is trained on; empty for a teacher.
        signal: ``none``, ``cached`` or ``live``; for the record.
        samples: what a run on a growing cache is confined to; None where all serve.
        exceptions: differences between cache and recipe that were allowed; for the record.
    """

    task: ClassVar[Literal["classification", "detection"]]
    sample_noun: ClassVar[Literal["clips", "windows"]]

    kind: Literal["teacher", "student"]
    name: str
    seed: int
    folder: Path
    card: NetworkCard | DetectorCard
    training: NetworkTrainingSpec
    distiller: Spec
    fingerprint: Fingerprint
    signal: str
    samples: tuple[int, ...] | None = None
    exceptions: tuple[Mismatch, ...] = ()

    @abstractmethod
    def settings(self, workspace: WorkspaceT) -> str:
        """Digest of everything that decides the result."""

    @abstractmethod
    def build(self, workspace: WorkspaceT, lessons: Lessons[SignalT]) -> TrainingT:
        """Network, distiller and optimisers, before the first step.

        Raises:
            CheckpointError: the network cannot start from the weights it shall start from.
            ModelError: network, distiller and signal do not fit.
            RequirementError: the signal lacks something.
        """

    @abstractmethod
    def save(self, training: TrainingT, path: Path) -> None:
        """Write the weights with their card."""

    @property
    def description(self) -> str:
        """What it is called while it goes on."""
        return self.kind if self.kind == "teacher" else f"{self.name}, seed {self.seed}"

    def order_seed(self, workspace: WorkspaceT) -> int:  # noqa: ARG002
        """Seed of the order in which samples are seen."""
        return self.seed

    def train(
        self,
        workspace: WorkspaceT,
        *,
        source: LessonSource[SignalT],
        views: RenderedViews,
        samples: Sequence[int],
        row_of: Callable[[int, int], int],
        teacher_size: int,
        progress: Progress,
    ) -> bool:
        """Train, or go on training, and leave a finished run folder.

        Args:
            workspace: recipe and folders.
            source: what the teacher says; an empty signal for those who learn without one.
            views: of the training samples, rendered at the network's size.
            samples: positions of the clips or windows to train on.
            row_of: cache row of (sample, view index).
            teacher_size: pixels of the teacher's input; used where the source needs clips.
            progress: shows the work.

        Returns:
            False where the run was finished already.

        Raises:
            UsageError: the folder holds a run with other settings, or there are fewer samples than
                one batch needs.
            FeatkdError: whatever `build` and training meet; see `featkd.training.train`.
        """
        settings = self.settings(workspace)
        if is_finished(self.folder, settings):
            return False
        lessons = Lessons(
            views=views,
            source=source,
            samples=samples,
            row_of=row_of,
            batch_size=self.training.batch_size,
            teacher_size=teacher_size,
            seed=self.order_seed(workspace),
        )
        training = self.prepare(workspace, lessons)
        seconds = train(
            training.run(self.folder, settings=settings),
            description=self.description,
            progress=progress,
        )
        self.finish(training, settings=settings, seconds=seconds)
        return True

    def prepare(self, workspace: WorkspaceT, lessons: Lessons[SignalT]) -> TrainingT:
        """Begin the run folder and build what is trained in it, before its first step.

        Raises:
            UsageError: there are fewer samples than one batch needs.
            FeatkdError: as `build`.
        """
        if len(lessons) == 0:
            raise UsageError(
                f"{len(lessons.samples)} {self.sample_noun} of split "
                f"{workspace.recipe.data.train_split!r} can be trained on; expected at least one "
                f"batch of {self.training.batch_size}"
            )
        begin(self.folder, workspace.recipe)
        seed_everything(self.seed)
        return self.build(workspace, lessons)

    def finish(self, training: TrainingT, *, settings: str, seconds: float) -> None:
        """Save the weights of a training that went to its end, and declare the run finished.

        Args:
            training: with the final weights.
            settings: the run's digest.
            seconds: what training took.
        """
        self.save(training, self.folder / "model.safetensors")
        cost = measure_cost(self.card.build().eval(), self.card.input_shape)
        finish(
            self.folder,
            settings,
            {
                "task": self.task,
                "kind": self.kind,
                "name": self.name,
                "seed": self.seed,
                "model": self.card.model.name,
                "num_epochs": self.training.num_epochs,
                "seconds": seconds,
                "parameters": cost.parameters,
                "gmac": cost.gmac,
                f"num_{self.sample_noun}": len(training.lessons.samples),
                "distiller": self.distiller.model_dump(mode="json"),
                "signal": self.signal,
                "allowed_mismatches": [asdict(item) for item in self.exceptions],
            },
        )
