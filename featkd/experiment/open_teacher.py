"""The frozen teacher of a workspace, whatever its task."""

from featkd.experiment.detection.frozen_detector import FrozenDetector
from featkd.experiment.detection.workspace import DetectionWorkspace
from featkd.experiment.open_workspace import AnyWorkspace
from featkd.experiment.teacher import FrozenTeacher

AnyFrozenTeacher = FrozenTeacher | FrozenDetector


def open_teacher(workspace: AnyWorkspace) -> AnyFrozenTeacher:
    """The teacher that goes with a workspace's task; raises as its class does."""
    if isinstance(workspace, DetectionWorkspace):
        return FrozenDetector(workspace)
    return FrozenTeacher(workspace)
