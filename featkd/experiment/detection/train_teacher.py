"""The teacher for detection, trained from annotations."""

from featkd.cache.signal import SignalRequest
from featkd.detection.distillation import DetectionSignal, DetectorAloneSpec
from featkd.experiment.detection.backbone_weights import BackboneWeights
from featkd.experiment.detection.detector_run import DetectorRun, detector_card
from featkd.experiment.detection.workspace import DetectionWorkspace
from featkd.types import Progress, Silent


class NobodyTeaches:
    """A source of signals for those who learn from annotations alone."""

    needs_clips = False

    def signal(self, request: SignalRequest) -> DetectionSignal:  # noqa: ARG002
        """An empty signal."""
        return DetectionSignal()


def teacher_run(workspace: DetectionWorkspace) -> DetectorRun:
    """The run that trains the recipe's teacher with annotations alone."""
    section = workspace.recipe.teacher
    weights = section.backbone_weights
    return DetectorRun(
        kind="teacher",
        name="teacher",
        seed=workspace.recipe.seed,
        folder=workspace.teacher_folder,
        card=detector_card(workspace, section.model, section.preprocess),
        training=section.training,
        distiller=DetectorAloneSpec(),
        fingerprint={},
        signal="none",
        backbone=None if weights is None else BackboneWeights(weights),
    )


def train_detection_teacher(
    workspace: DetectionWorkspace, progress: Progress | None = None
) -> bool:
    """Train the recipe's teacher with annotations alone.

    Returns:
        False where it was trained already.

    Raises:
        FeatkdError: as `BaseRun.train`.
    """
    recipe = workspace.recipe
    preprocess, num_views = recipe.teacher.preprocess, recipe.views.train.num_views
    views = workspace.rendered((preprocess.size,), preprocess.modality)
    return teacher_run(workspace).train(
        workspace,
        source=NobodyTeaches(),
        views=views,
        samples=range(len(views.clips)),
        row_of=lambda sample, view_index: sample * num_views + view_index,
        teacher_size=preprocess.size,
        progress=progress or Silent(),
    )
