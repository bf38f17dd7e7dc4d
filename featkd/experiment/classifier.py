"""One run of classifier training, teacher or student, from settings to a finished folder."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import torch

from featkd.cache import Fingerprint, Mismatch
from featkd.cache.signal import SignalSource
from featkd.distillers import DistillerSpec, Shapes, build_distiller
from featkd.errors import UsageError
from featkd.evaluation import measure_cost
from featkd.experiment.initial_weights import InitialWeights
from featkd.experiment.run_folder import begin, finish, is_finished
from featkd.experiment.workspace import Workspace, write_json
from featkd.models import Network, NetworkCard, VideoClassifier, save_network
from featkd.training import (
    ClassifierTraining,
    Lesson,
    Lessons,
    RenderedViews,
    TrainingSpec,
    seed_everything,
    settings_digest,
    train,
)
from featkd.types import Progress, TeacherSignal


@dataclass(frozen=True)
class ClassifierRun:
    """All that decides one run.

    Attributes:
        kind: who is trained.
        name: of the run, for tables.
        seed: of initialisation, order and noise.
        folder: the run folder.
        card: the network.
        training: epochs, batch size, optimisers.
        distiller: what gives the loss.
        fingerprint: of the cache that is trained on; empty for a teacher.
        signal: ``none``, ``cached`` or ``live``; for the record.
        samples: clips that a run on a growing cache is confined to; None where all serve.
        exceptions: differences between cache and recipe that were allowed; for the record.
        initial: what it starts from; None starts from random numbers.
    """

    kind: Literal["teacher", "student"]
    name: str
    seed: int
    folder: Path
    card: NetworkCard
    training: TrainingSpec
    distiller: DistillerSpec
    fingerprint: Fingerprint
    signal: str
    samples: tuple[int, ...] | None = None
    exceptions: tuple[Mismatch, ...] = ()
    initial: InitialWeights | None = None

    @property
    def description(self) -> str:
        """What it is called while it goes on."""
        return self.kind if self.kind == "teacher" else f"{self.name}, seed {self.seed}"

    def order_seed(self, workspace: Workspace) -> int:
        """Seed of the order in which clips are seen."""
        own = self.training.batch_order == "seed"
        return self.seed if own else workspace.recipe.seed

    def settings(self, workspace: Workspace) -> str:
        """Digest of everything that decides the result."""
        # Fields of flow stand in its runs alone: runs on colours are as they were before.
        is_flow = self.card.preprocess.modality == "flow"
        hidden: dict[str, bool | set[str]] = {"origin": True}
        if not is_flow:
            hidden["preprocess"] = {"modality"}
        initial = {} if self.initial is None else {"initial": dict(self.initial.settings())}
        return settings_digest(
            {
                **initial,
                "card": self.card.model_dump(mode="json", exclude=hidden),
                **(workspace.flow.fingerprint() if is_flow else {}),
                # Recording decides nothing.
                "training": self.training.model_dump(mode="json", exclude={"record_logits"}),
                "distiller": self.distiller.model_dump(mode="json"),
                "views": workspace.recipe.views.train.model_dump(mode="json"),
                "views.seed": workspace.recipe.seed,
                "manifest": workspace.manifest.digest,
                "split": workspace.recipe.data.train_split,
                "cache": dict(self.fingerprint),
                "signal": self.signal,
                "seed": self.seed,
                "samples": self.samples,
            }
        )


def run_classifier(
    workspace: Workspace,
    run: ClassifierRun,
    *,
    source: SignalSource,
    views: RenderedViews,
    samples: Sequence[int],
    row_of: Callable[[int, int], int],
    teacher_size: int,
    progress: Progress,
) -> bool:
    """Train, or go on training, and leave a finished run folder.

    Returns:
        False where the run was finished already.

    Raises:
        UsageError: the folder holds a run with other settings, or there are fewer clips than one
            batch needs.
        FeatkdError: whatever training meets; see `featkd.training.train`.
    """
    settings = run.settings(workspace)
    if is_finished(run.folder, settings):
        return False
    lessons = Lessons(
        views=views,
        source=source,
        samples=samples,
        row_of=row_of,
        batch_size=run.training.batch_size,
        teacher_size=teacher_size,
        seed=run.order_seed(workspace),
    )
    training = prepare_classifier(workspace, run, lessons)
    seconds = train(
        training.run(run.folder, settings=settings),
        description=run.description,
        progress=progress,
    )
    finish_classifier(run, training, settings=settings, seconds=seconds)
    return True


def prepare_classifier(
    workspace: Workspace, run: ClassifierRun, lessons: Lessons[TeacherSignal]
) -> ClassifierTraining:
    """Begin a run folder and build what is trained in it, before its first step.

    Raises:
        UsageError: there are fewer clips than one batch needs.
        ModelError: network, distiller and signal do not fit, or it cannot start from what it shall.
        RequirementError: the signal lacks something.
    """
    if len(lessons) == 0:
        raise UsageError(
            f"{len(lessons.samples)} clips of split {workspace.recipe.data.train_split!r} can be "
            f"trained on; expected at least one batch of {run.training.batch_size}"
        )
    begin(run.folder, workspace.recipe)
    seed_everything(run.seed)
    network = run.card.build(layers=run.distiller.requires.student_layers)
    example = lessons.example()
    classifier = example.signal.classifier
    if run.initial is not None:
        write_json(run.folder / "initial_weights.json", run.initial.load(network))
    if classifier is not None and isinstance(network, VideoClassifier) and network.projector:
        network.reuse_classifier(classifier)
    shapes = measure_shapes(network, run.card, example)
    return ClassifierTraining(
        network=network,
        distiller=build_distiller(run.distiller, shapes),
        lessons=lessons,
        spec=run.training,
        preprocess_spec=run.card.preprocess,
        device=workspace.device,
        seed=run.seed,
    )


def measure_shapes(network: Network, card: NetworkCard, lesson: Lesson[TeacherSignal]) -> Shapes:
    """Look at one lesson from both sides; the network's state stays as it is."""
    network.eval()
    with torch.no_grad():
        student = network(lesson.clips(card.preprocess, torch.device("cpu")))
    network.train()
    return Shapes.measure(student, lesson.signal)


def finish_classifier(
    run: ClassifierRun, training: ClassifierTraining, *, settings: str, seconds: float
) -> None:
    """Save the weights of a training that went to its end, and declare the run finished.

    Args:
        run: what was trained.
        training: with the final weights.
        settings: the run's digest.
        seconds: what training took.
    """
    save_network(run.folder / "model.safetensors", training.network, run.card)
    cost = measure_cost(run.card.build().eval(), run.card.input_shape)
    finish(
        run.folder,
        settings,
        {
            "kind": run.kind,
            "name": run.name,
            "seed": run.seed,
            "model": run.card.model.name,
            "num_epochs": run.training.num_epochs,
            "seconds": seconds,
            "parameters": cost.parameters,
            "gmac": cost.gmac,
            "num_clips": len(training.lessons.samples),
            "distiller": run.distiller.model_dump(mode="json"),
            "signal": run.signal,
            "allowed_mismatches": [asdict(item) for item in run.exceptions],
        },
    )
