"""One run of detector training, teacher or student, from settings to a finished folder."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from featkd.cache import Fingerprint, Mismatch
from featkd.detection.afsd import DETECTOR_LAYERS, AFSDSpec, Detector
from featkd.detection.checkpoint import DetectorCard, save_detector
from featkd.detection.distillation import (
    AnyDetectionSpec,
    DetectionGenerativeSpec,
    DetectionSignal,
    build_detection_distiller,
)
from featkd.errors import UsageError
from featkd.evaluation import measure_cost
from featkd.experiment.detection.backbone_weights import BackboneWeights
from featkd.experiment.detection.workspace import DetectionWorkspace
from featkd.experiment.run_folder import begin, finish, is_finished
from featkd.experiment.workspace import write_json
from featkd.models import PreprocessSpec, layer_shapes
from featkd.training import (
    DetectorTraining,
    DetectorTrainingSpec,
    Lessons,
    LessonSource,
    RenderedViews,
    seed_everything,
    settings_digest,
    train,
)
from featkd.types import Progress


@dataclass(frozen=True)
class DetectorRun:
    """All that decides one run.

    Attributes:
        kind: who is trained.
        name: of the run, for tables.
        seed: of initialisation, order, noise and rearrangements.
        folder: the run folder.
        card: the detector.
        training: epochs, batch size, optimisers.
        distiller: what gives the loss.
        fingerprint: of the cache that is trained on; empty for a teacher.
        signal: ``none``, ``cached`` or ``live``; for the record.
        samples: windows that a run on a growing cache is confined to; None where all serve.
        exceptions: differences between cache and recipe that were allowed; for the record.
        backbone: weights the backbone starts from; None starts from random numbers.
        reused_detector: the teacher's detector, for a student that keeps it behind projectors.
    """

    kind: Literal["teacher", "student"]
    name: str
    seed: int
    folder: Path
    card: DetectorCard
    training: DetectorTrainingSpec
    distiller: AnyDetectionSpec
    fingerprint: Fingerprint
    signal: str
    samples: tuple[int, ...] | None = None
    exceptions: tuple[Mismatch, ...] = ()
    backbone: BackboneWeights | None = None
    reused_detector: Detector | None = None

    @property
    def description(self) -> str:
        """What it is called while it goes on."""
        return self.kind if self.kind == "teacher" else f"{self.name}, seed {self.seed}"

    def settings(self, workspace: DetectionWorkspace) -> str:
        """Digest of everything that decides the result."""
        recipe = workspace.recipe
        is_flow = self.card.preprocess.modality == "flow"
        windows = [
            (w.video_id, w.offset, w.segments.tolist(), w.labels.tolist(), w.shortest_action)
            for w in workspace.train_clips().windows
        ]
        return settings_digest(
            {
                "backbone": None if self.backbone is None else self.backbone.sha256,
                "card": self.card.model_dump(mode="json"),
                **(workspace.flow.fingerprint() if is_flow else {}),
                "losses": recipe.losses.model_dump(mode="json"),
                "training": self.training.model_dump(mode="json"),
                "distiller": self.distiller.model_dump(mode="json"),
                "views": recipe.views.train.model_dump(mode="json"),
                "views.seed": recipe.seed,
                "windows": windows,
                "manifest": workspace.manifest.digest,
                "split": recipe.data.train_split,
                "cache": dict(self.fingerprint),
                "signal": self.signal,
                "seed": self.seed,
                "samples": self.samples,
            }
        )


def detector_card(
    workspace: DetectionWorkspace, model: AFSDSpec, preprocess: PreprocessSpec
) -> DetectorCard:
    """The card of a detector that sees the windows of a recipe."""
    views = workspace.recipe.views.train
    return DetectorCard(
        model=model,
        classes=workspace.manifest.header.classes,
        num_frames=views.num_frames,
        sample_fps=views.sample_fps,
        crop_scale=views.crop_scale,
        preprocess=preprocess,
    )


def run_detector(
    workspace: DetectionWorkspace,
    run: DetectorRun,
    *,
    source: LessonSource[DetectionSignal],
    views: RenderedViews,
    samples: Sequence[int],
    row_of: Callable[[int, int], int],
    teacher_size: int,
    progress: Progress,
) -> bool:
    """Train, or go on training, and leave a finished run folder.

    Args:
        workspace: recipe and folders.
        run: what is trained.
        source: what the teacher says; an empty signal for those who learn from annotations alone.
        views: of the training windows, rendered at the detector's size.
        samples: positions of the windows to train on.
        row_of: cache row of (sample, view index).
        teacher_size: pixels of the teacher's input; used where the source needs clips.
        progress: shows the work.

    Returns:
        False where the run was finished already.

    Raises:
        UsageError: the folder holds a run with other settings, or there are fewer windows than one
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
        seed=run.seed,
    )
    training = prepare_detector(workspace, run, lessons)
    seconds = train(
        training.run(run.folder, settings=settings),
        description=run.description,
        progress=progress,
    )
    finish_detector(run, training, settings=settings, seconds=seconds)
    return True


def prepare_detector(
    workspace: DetectionWorkspace, run: DetectorRun, lessons: Lessons[DetectionSignal]
) -> DetectorTraining:
    """Begin a run folder and build what is trained in it, before its first step.

    Raises:
        UsageError: there are fewer windows than one batch needs.
        CheckpointError: the backbone cannot start from the weights it shall start from.
        ModelError: network, distiller and signal do not fit.
    """
    if len(lessons) == 0:
        raise UsageError(
            f"{len(lessons.samples)} windows of split {workspace.recipe.data.train_split!r} can be "
            f"trained on; expected at least one batch of {run.training.batch_size}"
        )
    begin(run.folder, workspace.recipe)
    seed_everything(run.seed)
    network = run.card.build(with_background=_needs_background(run.distiller))
    if run.backbone is not None:
        write_json(run.folder / "initial_weights.json", run.backbone.load(network))
    if run.reused_detector is not None:
        network.reuse_detector(run.reused_detector)
    teacher = lessons.example().signal
    distiller = build_detection_distiller(
        run.distiller,
        workspace.recipe.losses,
        layer_shapes(network.backbone, run.card.input_shape, DETECTOR_LAYERS),
        {
            layer: (attention.shape[1], attention.shape[2])
            for layer, attention in teacher.attention.items()
        },
    )
    return DetectorTraining(
        network=network,
        distiller=distiller,
        lessons=lessons,
        windows=workspace.train_clips().windows,
        spec=run.training,
        preprocess_spec=run.card.preprocess,
        device=workspace.device,
        seed=run.seed,
    )


def finish_detector(
    run: DetectorRun, training: DetectorTraining, *, settings: str, seconds: float
) -> None:
    """Save the weights of a training that went to its end, and declare the run finished.

    Args:
        run: what was trained.
        training: with the final weights.
        settings: the run's digest.
        seconds: what training took.
    """
    save_detector(run.folder / "model.safetensors", training.network, run.card)
    cost = measure_cost(run.card.build().eval(), run.card.input_shape)
    finish(
        run.folder,
        settings,
        {
            "task": "detection",
            "kind": run.kind,
            "name": run.name,
            "seed": run.seed,
            "model": run.card.model.name,
            "num_epochs": run.training.num_epochs,
            "seconds": seconds,
            "parameters": cost.parameters,
            "gmac": cost.gmac,
            "num_windows": len(training.lessons.samples),
            "distiller": run.distiller.model_dump(mode="json"),
            "signal": run.signal,
            "allowed_mismatches": [asdict(item) for item in run.exceptions],
        },
    )


def _needs_background(distiller: AnyDetectionSpec) -> bool:
    return isinstance(distiller, DetectionGenerativeSpec) and distiller.background_weight > 0
