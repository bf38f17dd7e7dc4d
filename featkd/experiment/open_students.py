"""The students of a workspace, whatever its task."""

from featkd.experiment.detection.frozen_detector import FrozenDetector
from featkd.experiment.detection.student import StudentDetectors
from featkd.experiment.detection.workspace import DetectionWorkspace
from featkd.experiment.open_workspace import AnyWorkspace
from featkd.experiment.student import Students
from featkd.experiment.teacher import FrozenTeacher

AnyStudents = Students | StudentDetectors


def open_students(workspace: AnyWorkspace) -> AnyStudents:
    """The students that go with a workspace's task, beside their teacher.

    Raises:
        CheckpointError: there is no teacher, or it is damaged.
        UsageError: the teacher knows other classes or sees another modality than the recipe says.
    """
    if isinstance(workspace, DetectionWorkspace):
        return StudentDetectors(workspace, FrozenDetector(workspace))
    return Students(workspace, FrozenTeacher(workspace))
