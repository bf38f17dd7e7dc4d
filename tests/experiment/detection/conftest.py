import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

from featkd.experiment.detection.representation import represent_detector
from featkd.experiment.detection.workspace import DetectionWorkspace

Item = TypeVar("Item")

SETTINGS = (
    "representation={num_epochs: 1, batch_size: 2}",
    "student.training={num_epochs: 2, batch_size: 2, optimiser: {kind: adam, learning_rate: 1e-3}}",
    "distillers.none={kind: none}",
    "distillers.generative={kind: generative}",
)


@pytest.fixture(scope="session")
def open_students(
    make_detection_workspace: Callable[..., DetectionWorkspace],
) -> Callable[..., DetectionWorkspace]:
    """A workspace of the tiny experiment with all four methods; further settings may follow."""

    def make(folder: Path, *more: str) -> DetectionWorkspace:
        return make_detection_workspace(folder, *SETTINGS, *more)

    return make


@pytest.fixture(scope="session")
def represented(
    tmp_path_factory: pytest.TempPathFactory,
    extracted_windows: Path,
    open_students: Callable[..., DetectionWorkspace],
) -> Path:
    """Folder of the tiny experiment with its representation; do not change it."""
    folder = tmp_path_factory.mktemp("represented") / "work"
    shutil.copytree(extracted_windows, folder)
    assert represent_detector(open_students(folder))
    return folder


@pytest.fixture
def own_represented(represented: Path, tmp_path: Path) -> Path:
    """A copy of ``represented`` that a test may change."""
    shutil.copytree(represented, tmp_path / "work")
    return tmp_path / "work"
