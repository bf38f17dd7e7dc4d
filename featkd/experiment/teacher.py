"""The teacher: trained from labels or brought from elsewhere, then loaded frozen."""

import time
from collections.abc import Sequence
from copy import deepcopy

import torch

from featkd.cache import CacheStore
from featkd.cache.signal import SignalRequest
from featkd.distillers import StudentAloneConfig
from featkd.errors import UsageError
from featkd.evaluation import measure_cost
from featkd.experiment.base_frozen_teacher import BaseFrozenTeacher
from featkd.experiment.classifier_run import ClassifierRun
from featkd.experiment.frozen_modules import CLASSIFIER_MODULE, save_classifier
from featkd.experiment.initial_weights import WeightsOfFile
from featkd.experiment.run_folder import begin, finish, is_finished
from featkd.experiment.workspace import Workspace, read_json, write_json
from featkd.models import NetworkCard, Teacher, load_network, resolve_spec, save_network
from featkd.training import seed_everything, settings_digest
from featkd.types import LinearClassifier, Progress, Silent, TapSpec, TeacherSignal


class NoTeacher:
    """A signal source for those who learn from labels alone."""

    needs_clips = False

    def signal(self, request: SignalRequest) -> TeacherSignal:  # noqa: ARG002
        """An empty signal."""
        return TeacherSignal()


def teacher_run(workspace: Workspace) -> ClassifierRun:
    """The run that trains the recipe's teacher with labels alone."""
    recipe = workspace.recipe
    section = recipe.teacher
    card = _teacher_card(workspace)
    return ClassifierRun(
        kind="teacher",
        name="teacher",
        seed=recipe.seed,
        folder=workspace.teacher_folder,
        card=card,
        training=section.training,
        distiller=StudentAloneConfig(),
        fingerprint={},
        signal="none",
        initial=None if section.weights is None else WeightsOfFile(section.weights, card),
    )


def train_teacher(workspace: Workspace, progress: Progress | None = None) -> bool:
    """Train the recipe's teacher with labels alone, or take it from where the recipe says.

    Returns:
        False where it was there already.

    Raises:
        CheckpointError: weights that the recipe names are missing, damaged or do not fit.
        FeatkdError: as `BaseRun.train`.
    """
    recipe = workspace.recipe
    if _is_ready_made(workspace):
        return import_teacher(workspace)
    size = recipe.teacher.preprocess.size
    modality = recipe.teacher.preprocess.modality
    views = workspace.rendered(recipe.data.train_split, recipe.views.train, (size,), modality)
    num_views = recipe.views.train.num_views
    return teacher_run(workspace).train(
        workspace,
        source=NoTeacher(),
        views=views,
        samples=[index for index, clip in enumerate(views.clips) if clip.num_frames],
        row_of=lambda sample, view_index: sample * num_views + view_index,
        teacher_size=size,
        progress=progress or Silent(),
    )


def import_teacher(workspace: Workspace) -> bool:
    """Put weights that the recipe names into the teacher's folder, with their card.

    Where they were put there before, the file they came from is not needed any more.

    Returns:
        False where they are there already.

    Raises:
        CheckpointError: they are missing, damaged or do not fit.
        UsageError: the folder holds another teacher, or the weights know other classes.
    """
    started = time.perf_counter()
    section, folder = workspace.recipe.teacher, workspace.teacher_folder
    if section.weights is None:
        raise UsageError(f"recipe {workspace.recipe.name!r} names no teacher.weights")
    if not section.weights.file.exists() and "origin" in read_json(folder / "summary.json"):
        return False
    card = _teacher_card(workspace)
    initial = WeightsOfFile(section.weights, card)
    settings = settings_digest(
        {"card": card.model_dump(mode="json", exclude={"origin"}), "weights": initial.settings()}
    )
    if is_finished(folder, settings):
        return False
    # The weights replace every number, save the counters that a file may lack.
    seed_everything(workspace.recipe.seed)
    network = card.build().eval()
    origin, record = initial.load_with_origin(network)
    cost = measure_cost(network, card.input_shape)
    begin(folder, workspace.recipe)
    save_network(folder / "model.safetensors", network, card.model_copy(update={"origin": origin}))
    write_json(folder / "initial_weights.json", record)
    finish(
        folder,
        settings,
        {
            "kind": "teacher",
            "name": "teacher",
            "seed": workspace.recipe.seed,
            "model": card.model.name,
            "num_epochs": 0,
            "seconds": time.perf_counter() - started,
            "parameters": cost.parameters,
            "gmac": cost.gmac,
            "origin": record["origin"],
        },
    )
    return True


class FrozenTeacher(BaseFrozenTeacher):
    """The teacher of a workspace, with its card and the digest of its weights.

    One that the recipe brings from elsewhere ready-made is put into its folder first.

    Args:
        workspace: the recipe.

    Attributes:
        network: the teacher, in evaluation mode.

    Raises:
        CheckpointError: there is none yet, or it is damaged.
        UsageError: its classes are not the manifest's, or it sees another modality than the recipe
            says.
    """

    card: NetworkCard

    def __init__(self, workspace: Workspace) -> None:
        path = workspace.teacher_folder / "model.safetensors"
        if _is_ready_made(workspace):
            import_teacher(workspace)
        card, self.network = load_network(path, factories=workspace.recipe.factories())
        super().__init__(workspace, path, card, self.network)

    def classifier(self) -> LinearClassifier | None:
        """Its last layer; None where that does not read the mean of a map."""
        return self.network.linear()

    @property
    def module_name(self) -> str | None:
        """Its classifier's; None where that does not read the mean of a map."""
        return None if self.classifier() is None else CLASSIFIER_MODULE

    def save_module(self, store: CacheStore) -> None:
        """Put its classifier beside a cache, where it reads the mean of a map."""
        classifier = self.classifier()
        if classifier is not None:
            save_classifier(store, classifier)

    def with_taps(self, taps: Sequence[TapSpec], *, device: torch.device | None = None) -> Teacher:
        """Ready to run, reading these taps; see `BaseFrozenTeacher.with_taps`."""
        backbone = self.network.backbone
        section = self._workspace.recipe.extract
        return Teacher(
            backbone if device is None else deepcopy(backbone),
            self.card.preprocess,
            taps,
            batch_size=section.batch_size,
            device=device or self._workspace.device,
            precision=section.precision,
            compiled=section.compile,
        )


def _is_ready_made(workspace: Workspace) -> bool:
    """Whether the recipe brings a teacher that needs no training."""
    weights = workspace.recipe.teacher.weights
    return weights is not None and weights.classifier == "keep"


def _teacher_card(workspace: Workspace) -> NetworkCard:
    recipe = workspace.recipe
    return NetworkCard(
        model=resolve_spec(recipe.teacher.model),
        classes=workspace.manifest.header.classes,
        num_frames=recipe.views.train.num_frames,
        preprocess=recipe.teacher.preprocess,
    )
