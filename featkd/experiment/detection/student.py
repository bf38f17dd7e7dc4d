"""Students for detection."""

from collections.abc import Mapping

from torch import nn

from featkd.detection.afsd import ReusedDetectorSpec
from featkd.detection.checkpoint import DetectorCard
from featkd.detection.distillation import DetectionSignal
from featkd.detection.live_signal import LiveDetectionSignal
from featkd.distillers import Requirements
from featkd.errors import UsageError
from featkd.experiment.base_students import BaseStudents
from featkd.experiment.detection.backbone_weights import BackboneWeights
from featkd.experiment.detection.detector_run import DetectorRun, detector_card
from featkd.experiment.detection.frozen_detector import FrozenDetector
from featkd.experiment.detection.opened_cache import OpenedDetectionCache
from featkd.experiment.detection.workspace import DetectionWorkspace
from featkd.experiment.needs import distiller_requirements
from featkd.training import RenderedViews
from featkd.types import TapSpec


class StudentDetectors(
    BaseStudents[DetectionWorkspace, OpenedDetectionCache, DetectorCard, DetectionSignal]
):
    """The students of a workspace for detection; see `BaseStudents`.

    Args:
        workspace: recipe and folders.
        teacher: of the workspace.
    """

    def __init__(self, workspace: DetectionWorkspace, teacher: FrozenDetector) -> None:
        super().__init__(workspace, teacher, OpenedDetectionCache)
        self.teacher = teacher

    def card(self, workspace: DetectionWorkspace, name: str) -> DetectorCard:
        """The detector of a student, with the attention heads or the projectors it needs.

        Raises:
            UsageError: the distiller keeps the teacher's detector, and teacher or student have
                attention heads.
        """
        recipe, teacher = workspace.recipe, self.teacher.card.model
        model = recipe.student.model
        needs = distiller_requirements(recipe, name)
        if needs.student_attention and model.attention_head is None:
            kind = recipe.representation.attention_head
            model = model.model_copy(update={"attention_head": kind})
        if needs.student_projector is not None:
            reused = ReusedDetectorSpec(width=teacher.width, projector=needs.student_projector)
            for field, head in (
                ("student.model.attention_head", model.attention_head),
                ("teacher.model.attention_head", teacher.attention_head),
            ):
                if head is not None:
                    raise UsageError(
                        f"{field} is {head!r}; distiller {name!r} gives the student the teacher's "
                        "detector, which reads maps as they are, so expected none"
                    )
            model = model.model_copy(update={"reused_detector": reused})
        return detector_card(workspace, model, recipe.student.preprocess)

    def run(
        self,
        workspace: DetectionWorkspace,
        name: str,
        seed: int,
        card: DetectorCard,
        opened: OpenedDetectionCache,
    ) -> DetectorRun:
        """The run of a student that learns from the cache."""
        recipe, weights = workspace.recipe, workspace.recipe.student.backbone_weights
        keeps_detector = distiller_requirements(recipe, name).classifier
        return DetectorRun(
            kind="student",
            name=name,
            seed=seed,
            folder=workspace.student_folder(name, seed),
            card=card,
            training=recipe.student.training,
            distiller=recipe.distillers[name],
            fingerprint=opened.fingerprint,
            signal="cached",
            exceptions=opened.exceptions,
            backbone=None if weights is None else BackboneWeights(weights),
            reused_detector=opened.teacher_detector() if keeps_detector else None,
        )

    def live_signal(self, opened: OpenedDetectionCache, needs: Requirements) -> LiveDetectionSignal:
        """The teacher itself as a source of what is needed."""
        layers = [tap.layer for tap in needs.taps if tap.reduction == "full"]
        full_maps = {TapSpec(layer, "full") for layer in (*layers, *needs.attention_layers)}
        heads: Mapping[str, nn.Module] = {}
        if needs.attention_layers:
            learned = opened.modules().attention_heads
            heads = {layer: learned[layer] for layer in needs.attention_layers}
        return LiveDetectionSignal(
            self.teacher.with_taps(sorted(full_maps)),
            layers=layers,
            attention_heads=heads,
            cvaes=opened.modules().cvae_of() if needs.modules else {},
        )

    def views(self, sizes: tuple[int, ...]) -> RenderedViews:
        """What students are trained on, rendered at these sizes in pixels."""
        return self.workspace.rendered(sizes, self.workspace.recipe.student.preprocess.modality)
