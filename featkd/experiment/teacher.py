"""Training the teacher from labels, and loading it frozen."""

from collections.abc import Sequence
from copy import deepcopy

import torch

from featkd.cache import sha256_of_state_dict
from featkd.cache.signal import SignalRequest
from featkd.distillers import StudentAloneConfig
from featkd.errors import UsageError
from featkd.experiment.classifier import ClassifierRun, run_classifier
from featkd.experiment.workspace import Workspace
from featkd.models import NetworkCard, Teacher, load_network
from featkd.types import Progress, Silent, TapSpec, TeacherSignal


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
    return ClassifierRun(
        kind="teacher",
        name="teacher",
        seed=recipe.seed,
        folder=workspace.teacher_folder,
        card=NetworkCard(
            model=section.model,
            classes=workspace.manifest.header.classes,
            num_frames=recipe.views.train.num_frames,
            preprocess=section.preprocess,
        ),
        training=section.training,
        distiller=StudentAloneConfig(),
        fingerprint={},
        signal="none",
    )


def train_teacher(workspace: Workspace, progress: Progress | None = None) -> bool:
    """Train the recipe's teacher with labels alone.

    Returns:
        False where it was trained already.

    Raises:
        FeatkdError: as `run_classifier`.
    """
    recipe = workspace.recipe
    size = recipe.teacher.preprocess.size
    modality = recipe.teacher.preprocess.modality
    views = workspace.rendered(recipe.data.train_split, recipe.views.train, (size,), modality)
    num_views = recipe.views.train.num_views
    return run_classifier(
        workspace,
        teacher_run(workspace),
        source=NoTeacher(),
        views=views,
        samples=[index for index, clip in enumerate(views.clips) if clip.num_frames],
        row_of=lambda sample, view_index: sample * num_views + view_index,
        teacher_size=size,
        progress=progress or Silent(),
    )


class FrozenTeacher:
    """The trained teacher of a workspace, with its card and the digest of its weights.

    Raises:
        CheckpointError: there is none yet, or it is damaged.
        UsageError: its classes are not the manifest's, or it sees another modality than the recipe
            says.
    """

    def __init__(self, workspace: Workspace) -> None:
        path = workspace.teacher_folder / "model.safetensors"
        self.card, self.network = load_network(path)
        self.weights_sha256 = sha256_of_state_dict(self.network.state_dict())
        if self.card.classes != workspace.manifest.header.classes:
            raise UsageError(
                f"{path} knows {len(self.card.classes)} classes that are not those of "
                f"{workspace.recipe.data.manifest} ({len(workspace.manifest.header.classes)}); "
                "expected the same names in the same order"
            )
        expected = workspace.recipe.teacher.preprocess.modality
        if self.card.preprocess.modality != expected:
            raise UsageError(
                f"{path} sees {self.card.preprocess.modality}, and teacher.preprocess.modality of "
                f"the recipe is {expected}; expected the same"
            )
        self._settings = workspace.recipe.extract
        self._device = workspace.device

    def with_taps(self, taps: Sequence[TapSpec], *, device: torch.device | None = None) -> Teacher:
        """Ready to run, reading these taps.

        Args:
            taps: what to read.
            device: where to put a copy of its own; default: the recipe's device, without a copy.
        """
        backbone = self.network.backbone
        return Teacher(
            backbone if device is None else deepcopy(backbone),
            self.card.preprocess,
            taps,
            batch_size=self._settings.batch_size,
            device=device or self._device,
            precision=self._settings.precision,
            compiled=self._settings.compile,
        )
