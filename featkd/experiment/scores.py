"""The one number that a run is judged by: top-1 of a classifier, average mAP of a detector."""

from collections.abc import Mapping
from pathlib import Path

from featkd.detection.mean_average_precision import measure_mean_average_precision
from featkd.experiment.detection.evaluate import DetectionRun, detect_in_split, evaluate_detector
from featkd.experiment.detection.workspace import DetectionWorkspace
from featkd.experiment.evaluate import evaluate, evaluate_run
from featkd.experiment.open_workspace import AnyWorkspace
from featkd.types import Progress

MEASURES: Mapping[str, str] = {"classification": "top1", "detection": "average"}
"""What students of a task are measured by: its name in ``evaluation.json``."""


def record_score(workspace: AnyWorkspace, folder: Path, progress: Progress) -> float:
    """Score of a run on the test split, which is left in its ``evaluation.json``.

    Raises:
        FeatkdError: whatever measuring meets.
    """
    if isinstance(workspace, DetectionWorkspace):
        return evaluate_detector(workspace, folder, progress=progress).average
    return evaluate_run(workspace, folder, progress=progress).top1


def score_on(workspace: AnyWorkspace, folder: Path, split: str, progress: Progress) -> float:
    """Score of a run on any split; nothing is written.

    Raises:
        FeatkdError: whatever measuring meets.
    """
    if isinstance(workspace, DetectionWorkspace):
        found = detect_in_split([DetectionRun(workspace, folder)], split, progress=progress)
        return measure_mean_average_precision(found.predictions, found.truth).average
    return evaluate(workspace, folder / "model.safetensors", split, progress=progress).top1
