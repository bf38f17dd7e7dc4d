"""The students of a workspace, whatever its task: their networks, their runs, their training."""

from abc import ABC, abstractmethod
from collections.abc import Collection
from dataclasses import replace
from typing import Any, Generic, Literal, TypeVar

from featkd.cache import FolderStore
from featkd.detection.checkpoint import DetectorCard
from featkd.distillers import Requirements
from featkd.experiment.base_frozen_teacher import BaseFrozenTeacher
from featkd.experiment.base_opened_cache import BaseOpenedCache
from featkd.experiment.base_run import BaseRun
from featkd.experiment.begun_samples import begun_with
from featkd.experiment.needs import distiller_requirements
from featkd.experiment.workspace import WorkspaceT
from featkd.models import NetworkCard
from featkd.training import LessonSource, RenderedViews
from featkd.training.lessons import SignalT
from featkd.types import Progress

SignalKind = Literal["cached", "live"]
"""Where the teacher's answers come from: the cache, or the teacher itself."""

OpenedT = TypeVar("OpenedT", bound=BaseOpenedCache[Any])
CardT = TypeVar("CardT", bound=NetworkCard | DetectorCard)


class BaseStudents(ABC, Generic[WorkspaceT, OpenedT, CardT, SignalT]):
    """The students of a workspace.

    Args:
        workspace: recipe and folders.
        teacher: of the workspace.
        opened_cache: what a cache of this task is opened as.
    """

    def __init__(
        self, workspace: WorkspaceT, teacher: BaseFrozenTeacher, opened_cache: type[OpenedT]
    ) -> None:
        self.workspace = workspace
        self._teacher = teacher
        self._opened_cache = opened_cache

    def open_cache(
        self,
        store: FolderStore,
        needs: Requirements,
        *,
        allowed: Collection[str] = (),
        committed_only: bool = False,
    ) -> OpenedT:
        """The workspace's cache, checked; arguments and errors are those of `BaseOpenedCache`."""
        return self._opened_cache(
            self.workspace,
            store,
            self._teacher,
            needs,
            allowed=allowed,
            committed_only=committed_only,
        )

    @abstractmethod
    def card(self, workspace: WorkspaceT, name: str) -> CardT:
        """The network of a student, with what its distiller adds to it.

        Args:
            workspace: this one, or one of `BaseWorkspace.with_students`.
            name: key of its recipe's ``distillers``.

        Raises:
            UsageError: distiller and network do not fit.
            ModelError: the network's configuration cannot be read.
        """

    @abstractmethod
    def run(
        self, workspace: WorkspaceT, name: str, seed: int, card: CardT, opened: OpenedT
    ) -> BaseRun[WorkspaceT, SignalT, Any]:
        """The run of a student that learns from the cache.

        Args:
            workspace: as for `card`.
            name: key of its recipe's ``distillers``.
            seed: of the student.
            card: from `card`.
            opened: the cache, opened for what the distiller needs.

        Raises:
            FeatkdError: what the student starts from cannot be read.
        """

    @abstractmethod
    def live_signal(self, opened: OpenedT, needs: Requirements) -> LessonSource[SignalT]:
        """The teacher itself as a source of what is needed."""

    @abstractmethod
    def views(self, sizes: tuple[int, ...]) -> RenderedViews:
        """What students are trained on, rendered at these sizes in pixels."""

    def distill(
        self,
        name: str,
        seed: int,
        *,
        signal: SignalKind,
        allowed: Collection[str],
        committed_only: bool,
        progress: Progress,
    ) -> bool:
        """Train the student that the recipe calls ``name``; see `featkd.experiment.distill`."""
        workspace = self.workspace
        needs = distiller_requirements(workspace.recipe, name)
        card = self.card(workspace, name)
        label = name if signal == "cached" else f"{name}+live"
        folder = workspace.student_folder(label, seed)
        with FolderStore.open(workspace.cache_path) as store:
            opened = self.open_cache(store, needs, allowed=allowed, committed_only=committed_only)
            source: LessonSource[SignalT] = (
                opened.signal() if signal == "cached" else self.live_signal(opened, needs)
            )
            samples = begun_with(folder, opened.samples) if committed_only else opened.samples
            run = replace(
                self.run(workspace, name, seed, card, opened),
                name=label,
                folder=folder,
                signal=signal,
                samples=tuple(samples) if committed_only else None,
            )
            size, teacher_size = card.preprocess.size, workspace.recipe.teacher.preprocess.size
            sizes = (size, teacher_size) if source.needs_clips else (size,)
            views = self.views(tuple(dict.fromkeys(sizes)))
            with opened.serve(views, None if source.needs_clips else size):
                return run.train(
                    workspace,
                    source=source,
                    views=views,
                    samples=samples,
                    row_of=opened.row_of,
                    teacher_size=teacher_size,
                    progress=progress,
                )
