"""One run of classifier training, teacher or student, from settings to a finished folder."""

from dataclasses import dataclass
from pathlib import Path

import torch

from featkd.distillers import DistillerSpec, Shapes, build_distiller
from featkd.experiment.base_run import BaseRun
from featkd.experiment.initial_weights import InitialWeights
from featkd.experiment.workspace import Workspace, write_json
from featkd.models import Network, NetworkCard, VideoClassifier, save_network
from featkd.training import (
    ClassifierTraining,
    Lesson,
    Lessons,
    TrainingSpec,
    settings_digest,
)
from featkd.types import TeacherSignal


@dataclass(frozen=True, kw_only=True)
class ClassifierRun(BaseRun[Workspace, TeacherSignal, ClassifierTraining]):
    """All that decides one run of a classifier.

    Attributes:
        initial: what it starts from; None starts from random numbers.
    """

    task = "classification"
    sample_noun = "clips"

    card: NetworkCard
    training: TrainingSpec
    distiller: DistillerSpec
    initial: InitialWeights | None = None

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

    def build(self, workspace: Workspace, lessons: Lessons[TeacherSignal]) -> ClassifierTraining:
        """Network, distiller and optimisers; the loss's modules fit what both sides show."""
        network = self.card.build(layers=self.distiller.requires.student_layers)
        example = lessons.example()
        classifier = example.signal.classifier
        if self.initial is not None:
            write_json(self.folder / "initial_weights.json", self.initial.load(network))
        if classifier is not None and isinstance(network, VideoClassifier) and network.projector:
            network.reuse_classifier(classifier)
        shapes = measure_shapes(network, self.card, example)
        return ClassifierTraining(
            network=network,
            distiller=build_distiller(self.distiller, shapes),
            lessons=lessons,
            spec=self.training,
            preprocess_spec=self.card.preprocess,
            device=workspace.device,
            seed=self.seed,
        )

    def save(self, training: ClassifierTraining, path: Path) -> None:
        """Write the weights with their card."""
        save_network(path, training.network, self.card)


def measure_shapes(network: Network, card: NetworkCard, lesson: Lesson[TeacherSignal]) -> Shapes:
    """Look at one lesson from both sides; the network's state stays as it is."""
    network.eval()
    with torch.no_grad():
        student = network(lesson.clips(card.preprocess, torch.device("cpu")))
    network.train()
    return Shapes.measure(student, lesson.signal)
