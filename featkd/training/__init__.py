"""Training loops: classifiers and detectors (teachers and students), feature representation."""

from featkd.training.checkpoint import settings_digest
from featkd.training.classifier import ClassifierTraining, TrainingSpec
from featkd.training.detection_specs import DetectorTrainingSpec
from featkd.training.detector import DetectorTraining
from featkd.training.lessons import Lesson, Lessons, LessonSource
from featkd.training.logit_recorder import TRAJECTORY_FILE
from featkd.training.loop import Outcome, train, train_together
from featkd.training.network_spec import NetworkTrainingSpec
from featkd.training.network_training import NetworkTraining
from featkd.training.optimiser import OptimiserSpec
from featkd.training.representation import (
    RepresentationModules,
    RepresentationSpec,
    RepresentationTraining,
)
from featkd.training.runner import Run
from featkd.training.seeding import seed_everything
from featkd.training.views import FrameCheck, FrameSource, LoadingSpec, RenderedViews

__all__ = [
    "TRAJECTORY_FILE",
    "ClassifierTraining",
    "DetectorTraining",
    "DetectorTrainingSpec",
    "FrameCheck",
    "FrameSource",
    "Lesson",
    "LessonSource",
    "Lessons",
    "LoadingSpec",
    "NetworkTraining",
    "NetworkTrainingSpec",
    "OptimiserSpec",
    "Outcome",
    "RenderedViews",
    "RepresentationModules",
    "RepresentationSpec",
    "RepresentationTraining",
    "Run",
    "TrainingSpec",
    "seed_everything",
    "settings_digest",
    "train",
    "train_together",
]
