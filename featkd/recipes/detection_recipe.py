"""What a recipe for temporal action detection may say."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, PositiveInt, model_validator

from featkd.detection.afsd import AFSDSpec, DetectionLossSpec
from featkd.detection.distillation import DetectionDistillerSpec
from featkd.detection.inference import InferenceSpec
from featkd.detection.soft_nms import SoftNms
from featkd.detection.window_views import WindowViews
from featkd.models import PreprocessSpec
from featkd.recipes.base_recipe import BaseRecipe, RunName
from featkd.synthetic import UntrimmedSpec
from featkd.training.detection_specs import DetectorRepresentationSpec, DetectorTrainingSpec
from featkd.types import Spec


class WindowsSection(Spec):
    """What detectors see of a video."""

    train: WindowViews = WindowViews()
    """Windows with annotations and random views of them; teacher and student see the same ones."""


class InferenceSection(Spec):
    """How segments are found in whole videos; the defaults are AFSD's on THUMOS14."""

    stride: PositiveInt = 128
    """From one window to the next, in sampled frames."""
    min_score: Annotated[float, Field(ge=0, lt=1)] = 0.01
    """Candidates that score no higher are dropped before soft-NMS."""
    soft_nms: SoftNms = SoftNms()
    """How candidates of one class compete."""


class DetectorSection(Spec):
    """A detector and how it is trained."""

    model: AFSDSpec = AFSDSpec()
    """Architecture."""
    backbone_weights: Path | None = None
    """Weights of a classifier of the I3D family, from elsewhere or trained here, that the backbone
    starts from; kernels of another member of the family are fitted in time."""
    preprocess: PreprocessSpec = PreprocessSpec(size=96)
    """Input: size, colours or flow, normalisation."""
    training: DetectorTrainingSpec = DetectorTrainingSpec()
    """Epochs, batch size, optimiser."""

    @model_validator(mode="after")
    def _frozen_statistics_exist(self) -> "DetectorSection":
        if self.model.batch_norm == "frozen" and self.backbone_weights is None:
            raise ValueError(
                "model.batch_norm is frozen and backbone_weights is not set; expected weights "
                "whose batch norms have learned, since those of random weights normalise nothing, "
                "or batch_norm: trained"
            )
        return self


class StudentDetectorSection(DetectorSection):
    """The detector of students and how it is trained."""

    model: AFSDSpec = AFSDSpec(name="top_i3d")
    """Architecture."""


class DetectionRecipe(BaseRecipe):
    """An experiment on detection: untrimmed videos, teacher, cache of windows, students."""

    task: Literal["detection"]
    synthetic: UntrimmedSpec | None = None
    """How ``featkd synthesize`` makes the data, where it is generated."""
    views: WindowsSection = WindowsSection()
    losses: DetectionLossSpec = DetectionLossSpec()
    """Weights of the terms that learn from annotations."""
    teacher: DetectorSection = DetectorSection()
    representation: DetectorRepresentationSpec = DetectorRepresentationSpec()
    student: StudentDetectorSection = StudentDetectorSection()
    inference: InferenceSection = InferenceSection()
    distillers: dict[RunName, DetectionDistillerSpec]
    """Students to train, by name."""

    def inference_spec(self) -> InferenceSpec:
        """How segments are found in whole videos."""
        return InferenceSpec(
            windows=self.views.train.cutting(self.inference.stride),
            min_score=self.inference.min_score,
            soft_nms=self.inference.soft_nms,
        )

    @model_validator(mode="after")
    def _modality_fits(self) -> "DetectionRecipe":
        self.require_modality(self.teacher.preprocess, self.student.preprocess)
        return self
