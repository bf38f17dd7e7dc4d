"""From a recipe to results: the stages of an experiment, each resumable, each in its folder."""

from featkd.experiment.distill import distill
from featkd.experiment.evaluate import (
    as_filmed,
    evaluate,
    evaluate_run,
    middle_frame_repeated,
    score_videos,
)
from featkd.experiment.fusion import FusedAccuracy, Stream, evaluate_fused
from featkd.experiment.needs import taps_to_extract
from featkd.experiment.representation import represent
from featkd.experiment.sweep import SweptStudent, sweep
from featkd.experiment.sweep_member import Member, vary
from featkd.experiment.synthetic import synthesize_dataset, synthesize_untrimmed_dataset
from featkd.experiment.teacher import FrozenTeacher, train_teacher
from featkd.experiment.workspace import Workspace

__all__ = [
    "FrozenTeacher",
    "FusedAccuracy",
    "Member",
    "Stream",
    "SweptStudent",
    "Workspace",
    "as_filmed",
    "distill",
    "evaluate",
    "evaluate_fused",
    "evaluate_run",
    "middle_frame_repeated",
    "represent",
    "score_videos",
    "sweep",
    "synthesize_dataset",
    "synthesize_untrimmed_dataset",
    "taps_to_extract",
    "train_teacher",
    "vary",
]
