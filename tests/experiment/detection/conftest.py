import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

import pytest

from featkd.experiment.detection.representation import represent_detector
from featkd.experiment.detection.workspace import DetectionWorkspace
from featkd.types import Silent

Item = TypeVar("Item")

SETTINGS = (
    "representation={num_epochs: 1, batch_size: 2}",
    "student.training={num_epochs: 2, batch_size: 2, optimiser: {kind: adam, learning_rate: 1e-3}}",
    "distillers.none={kind: none}",
    "distillers.generative={kind: generative}",
)


class StoppedError(Exception):
    pass


class StopsAfter(Silent):
    """A progress that interrupts the work after some items, as Ctrl-C would."""

    def __init__(self, num_items: int) -> None:
        self.left = num_items

    def track(
        self, items: Iterable[Item], *, description: str, total: int, unit: str, done: int = 0
    ) -> Iterable[Item]:
        for item in items:
            if self.left == 0:
                raise StoppedError
            self.left -= 1
            yield item


@pytest.fixture
def interrupted_after() -> Callable[[int, Callable[[StopsAfter], object]], None]:
    """Calls work with a progress that interrupts it after some items, and expects that."""

    def call(num_items: int, work: Callable[[StopsAfter], object]) -> None:
        with pytest.raises(StoppedError):
            work(StopsAfter(num_items))

    return call


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
