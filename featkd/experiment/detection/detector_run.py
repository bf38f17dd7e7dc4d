"""One run of detector training, teacher or student, from settings to a finished folder."""

from dataclasses import dataclass
from pathlib import Path

from featkd.detection.afsd import DETECTOR_LAYERS, AFSDSpec, Detector
from featkd.detection.checkpoint import DetectorCard, save_detector
from featkd.detection.distillation import (
    AnyDetectionSpec,
    DetectionGenerativeSpec,
    DetectionSignal,
    build_detection_distiller,
)
from featkd.experiment.base_run import BaseRun
from featkd.experiment.detection.backbone_weights import BackboneWeights
from featkd.experiment.detection.workspace import DetectionWorkspace
from featkd.experiment.workspace import write_json
from featkd.models import PreprocessSpec, layer_shapes
from featkd.training import (
    DetectorTraining,
    DetectorTrainingSpec,
    Lessons,
    settings_digest,
)


@dataclass(frozen=True, kw_only=True)
class DetectorRun(BaseRun[DetectionWorkspace, DetectionSignal, DetectorTraining]):
    """All that decides one run of a detector; its seed draws rearrangements too.

    Attributes:
        backbone: weights the backbone starts from; None starts from random numbers.
        reused_detector: the teacher's detector, for a student that keeps it behind projectors.
    """

    task = "detection"
    sample_noun = "windows"

    card: DetectorCard
    training: DetectorTrainingSpec
    distiller: AnyDetectionSpec
    backbone: BackboneWeights | None = None
    reused_detector: Detector | None = None

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

    def build(
        self, workspace: DetectionWorkspace, lessons: Lessons[DetectionSignal]
    ) -> DetectorTraining:
        """Detector, distiller and optimisers; the loss's modules fit what both sides show."""
        network = self.card.build(with_background=_needs_background(self.distiller))
        if self.backbone is not None:
            write_json(self.folder / "initial_weights.json", self.backbone.load(network))
        if self.reused_detector is not None:
            network.reuse_detector(self.reused_detector)
        teacher = lessons.example().signal
        distiller = build_detection_distiller(
            self.distiller,
            workspace.recipe.losses,
            layer_shapes(network.backbone, self.card.input_shape, DETECTOR_LAYERS),
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
            spec=self.training,
            preprocess_spec=self.card.preprocess,
            device=workspace.device,
            seed=self.seed,
        )

    def save(self, training: DetectorTraining, path: Path) -> None:
        """Write the weights with their card."""
        save_detector(path, training.network, self.card)


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


def _needs_background(distiller: AnyDetectionSpec) -> bool:
    return isinstance(distiller, DetectionGenerativeSpec) and distiller.background_weight > 0
