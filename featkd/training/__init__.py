"""Training loops: classifiers (teachers and students) and the feature representation."""

from featkd.training.checkpoint import settings_digest
from featkd.training.classifier import ClassifierTraining, TrainingSpec
from featkd.training.optimiser import OptimiserSpec
from featkd.training.representation import (
    RepresentationModules,
    RepresentationSpec,
    RepresentationTraining,
)
from featkd.training.seeding import seed_everything
from featkd.training.views import FrameSource, LoadingSpec, RenderedViews

__all__ = [
    "ClassifierTraining",
    "FrameSource",
    "LoadingSpec",
    "OptimiserSpec",
    "RenderedViews",
    "RepresentationModules",
    "RepresentationSpec",
    "RepresentationTraining",
    "TrainingSpec",
    "seed_everything",
    "settings_digest",
]
