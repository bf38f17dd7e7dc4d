"""Training one student detector against the cache, or against the live teacher."""

from collections.abc import Collection, Mapping

from torch import nn

from featkd.cache import FolderStore
from featkd.detection.afsd import Detector, ReusedDetectorSpec
from featkd.detection.checkpoint import DetectorCard
from featkd.detection.distillation import DetectionSignal
from featkd.detection.live_signal import LiveDetectionSignal
from featkd.distillers import Requirements
from featkd.errors import UsageError
from featkd.experiment.begun_samples import begun_with
from featkd.experiment.detection.backbone_weights import BackboneWeights
from featkd.experiment.detection.detector_run import DetectorRun, detector_card
from featkd.experiment.detection.frozen_detector import FrozenDetector
from featkd.experiment.detection.opened_cache import OpenedDetectionCache
from featkd.experiment.detection.workspace import DetectionWorkspace
from featkd.experiment.needs import distiller_requirements
from featkd.experiment.student import Signal
from featkd.training import LessonSource
from featkd.types import Progress, Silent, TapSpec


def distill_detector(
    workspace: DetectionWorkspace,
    name: str,
    seed: int,
    *,
    signal: Signal = "cached",
    allowed: Collection[str] = (),
    committed_only: bool = False,
    progress: Progress | None = None,
) -> bool:
    """Train the student detector that the recipe calls ``name``.

    Args:
        workspace: recipe and folders.
        name: key of the recipe's ``distillers``.
        seed: of initialisation, order, noise and rearrangements; views keep the recipe's seed.
        signal: whether the teacher's answers come from the cache or from the teacher itself.
        allowed: fields of the cache's fingerprint that may differ from the recipe; recorded in the
            run's summary.
        committed_only: train on the windows that are committed by now, while extraction goes on. A
            run that is resumed keeps the windows it began with.
        progress: shows the work.

    Returns:
        False where it was trained already.

    Raises:
        UsageError: the recipe has no such distiller, student and teacher do not fit it, or a
            mismatch cannot be allowed.
        CacheError: the cache is missing, of another teacher or incomplete.
        RequirementError: the cache lacks something the distiller needs.
        TrainingError: a loss is not finite.
    """
    needs = distiller_requirements(workspace.recipe, name)
    teacher = FrozenDetector(workspace)
    card = student_detector_card(workspace, name, teacher)
    with FolderStore.open(workspace.cache_path) as store:
        opened = OpenedDetectionCache(
            workspace, store, teacher, needs, allowed=allowed, committed_only=committed_only
        )
        source: LessonSource[DetectionSignal] = (
            opened.signal() if signal == "cached" else _live(teacher, opened, needs)
        )
        recipe, weights = workspace.recipe, workspace.recipe.student.backbone_weights
        label = name if signal == "cached" else f"{name}+live"
        folder = workspace.student_folder(label, seed)
        samples = begun_with(folder, opened.samples) if committed_only else opened.samples
        run = DetectorRun(
            kind="student",
            name=label,
            seed=seed,
            folder=folder,
            card=card,
            training=recipe.student.training,
            distiller=recipe.distillers[name],
            fingerprint=opened.fingerprint,
            signal=signal,
            samples=tuple(samples) if committed_only else None,
            exceptions=opened.exceptions,
            backbone=None if weights is None else BackboneWeights(weights),
            reused_detector=_reused_detector(opened, needs),
        )
        teacher_size = recipe.teacher.preprocess.size
        sizes = (card.preprocess.size, *((teacher_size,) if source.needs_clips else ()))
        views = workspace.rendered(tuple(dict.fromkeys(sizes)), card.preprocess.modality)
        with opened.serve(views, None if source.needs_clips else card.preprocess.size):
            return run.train(
                workspace,
                source=source,
                views=views,
                samples=samples,
                row_of=opened.row_of,
                teacher_size=teacher_size,
                progress=progress or Silent(),
            )


def student_detector_card(
    workspace: DetectionWorkspace, name: str, teacher: FrozenDetector
) -> DetectorCard:
    """The detector of a student, with the attention heads or the projectors its distiller needs.

    Args:
        workspace: the recipe.
        name: key of the recipe's ``distillers``.
        teacher: whose detector a projector has to serve.

    Raises:
        UsageError: the distiller keeps the teacher's detector, and teacher or student have
            attention heads.
    """
    recipe = workspace.recipe
    model, preprocess = recipe.student.model, recipe.student.preprocess
    needs = distiller_requirements(recipe, name)
    if needs.student_attention and model.attention_head is None:
        model = model.model_copy(update={"attention_head": recipe.representation.attention_head})
    if needs.student_projector is not None:
        reused = ReusedDetectorSpec(
            width=teacher.card.model.width, projector=needs.student_projector
        )
        for field, head in (
            ("student.model.attention_head", model.attention_head),
            ("teacher.model.attention_head", teacher.card.model.attention_head),
        ):
            if head is not None:
                raise UsageError(
                    f"{field} is {head!r}; distiller {name!r} gives the student the teacher's "
                    "detector, which reads maps as they are, so expected none"
                )
        model = model.model_copy(update={"reused_detector": reused})
    return detector_card(workspace, model, preprocess)


def _reused_detector(opened: OpenedDetectionCache, needs: Requirements) -> Detector | None:
    return opened.teacher_detector() if needs.classifier else None


def _live(
    teacher: FrozenDetector, opened: OpenedDetectionCache, needs: Requirements
) -> LiveDetectionSignal:
    layers = [tap.layer for tap in needs.taps if tap.reduction == "full"]
    full_maps = {TapSpec(layer, "full") for layer in (*layers, *needs.attention_layers)}
    heads: Mapping[str, nn.Module] = {}
    if needs.attention_layers:
        learned = opened.modules().attention_heads
        heads = {layer: learned[layer] for layer in needs.attention_layers}
    return LiveDetectionSignal(
        teacher.with_taps(sorted(full_maps)),
        layers=layers,
        attention_heads=heads,
        cvaes=opened.modules().cvae_of() if needs.modules else {},
    )
