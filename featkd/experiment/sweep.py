"""Many students from one pass over views and cache: decoded once a step, shown to all."""

import gc
import traceback
from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import reduce
from operator import or_
from pathlib import Path
from typing import Any, Literal

from featkd.cache import FolderStore
from featkd.distillers import Requirements
from featkd.errors import UsageError
from featkd.experiment.base_opened_cache import BaseOpenedCache
from featkd.experiment.base_run import BaseRun
from featkd.experiment.base_students import BaseStudents
from featkd.experiment.open_students import open_students
from featkd.experiment.open_workspace import AnyWorkspace
from featkd.experiment.run_folder import is_finished
from featkd.experiment.sweep_member import Member
from featkd.training import (
    FrameCheck,
    Lessons,
    NetworkTraining,
    Outcome,
    RenderedViews,
    train_together,
)
from featkd.types import Progress, Silent

MAX_TOGETHER = 16


@dataclass(frozen=True, slots=True)
class SweptStudent:
    """What became of a student.

    Attributes:
        member: which student.
        folder: its run folder.
        state: ``trained`` now, ``finished`` before, or ``failed``.
        seconds: of training, as its summary has them; 0 where it was not trained now.
        error: why it failed; None where it did not.
        error_traceback: of the error, as text; empty where there is none.
    """

    member: Member
    folder: Path
    state: Literal["trained", "finished", "failed"]
    seconds: float = 0.0
    error: Exception | None = None
    error_traceback: str = ""


def sweep(
    workspace: AnyWorkspace,
    members: Sequence[Member],
    *,
    allowed: Collection[str] = (),
    max_together: int = MAX_TOGETHER,
    progress: Progress | None = None,
) -> list[SweptStudent]:
    """Train many students against the cache, each as `distill` would.

    Students that see the same clips or windows in the same order and batches learn side by side:
    every view is decoded, and every row of the cache read, once for all of them. The order follows
    a student's seed, unless ``student.training.batch_order`` is ``recipe``. Weights, logs and run
    folders are those of students trained alone. Finished students are left as they are, stopped
    ones go on.

    A student that fails does not end the others.

    Args:
        workspace: recipe and folders.
        members: the students.
        allowed: as for `distill`.
        max_together: students that are in memory at once; further ones have to wait.
        progress: shows the work.

    Returns:
        What became of each, in the order of ``members``.

    Raises:
        UsageError: two students have the same folder, a distiller is unknown, an override changes
            more than one student, or ``max_together`` is below 1.
        RecipeError: an override has an unknown key or a wrong value.
        CacheError: there is no cache.
        CheckpointError: there is no teacher, or it is damaged.
    """
    if max_together < 1:
        raise UsageError(f"max_together is {max_together}; expected 1 or more")
    workspaces = {member: member.workspace(workspace) for member in members}
    _require_own_folders(members)
    students = open_students(workspace)
    with FolderStore.open(workspace.cache_path) as store:
        running = _Sweep(students, store, allowed, progress or Silent())
        for member in members:
            running.plan(member, workspaces[member])
        running.train(max_together)
        return [running.results[member] for member in members]


def _require_own_folders(members: Sequence[Member]) -> None:
    seen = set()
    for member in members:
        run = member.name, member.seed
        if run in seen:
            raise UsageError(
                f"two students of the sweep are called {member.name!r} with seed {member.seed}; "
                "expected names that differ, since they are the names of run folders"
            )
        seen.add(run)


@dataclass(frozen=True, slots=True)
class _PassKey:
    """What decides which batches a student sees; equal for those that can share a pass."""

    samples: tuple[int, ...]
    batch_size: int
    order_seed: int
    frames_size: int | None
    """Pixels of the rendered views in the cache, for a student that takes those; None decodes."""


@dataclass(frozen=True, slots=True)
class _Planned:
    """A student that is not trained yet."""

    member: Member
    workspace: AnyWorkspace
    needs: Requirements
    run: BaseRun[Any, Any, Any]
    settings: str
    pass_key: _PassKey


class _Sweep:
    """A sweep on its way, while the cache is open."""

    def __init__(
        self,
        students: BaseStudents[Any, Any, Any, Any],
        store: FolderStore,
        allowed: Collection[str],
        progress: Progress,
    ) -> None:
        self.results: dict[Member, SweptStudent] = {}
        self._students = students
        self._store = store
        self._allowed = allowed
        self._progress = progress
        self._opened: dict[Requirements, BaseOpenedCache[Any]] = {}
        self._planned: list[_Planned] = []
        self._check: FrameCheck | None = None

    def plan(self, member: Member, workspace: AnyWorkspace) -> None:
        """Note what is left to do for a student."""
        folder = workspace.student_folder(member.name, member.seed)
        try:
            needs = workspace.recipe.distillers[member.name].requires
            opened = self._open(needs)
            card = self._students.card(workspace, member.name)
            run = self._students.run(workspace, member.name, member.seed, card, opened)
            settings = run.settings(workspace)
            if is_finished(folder, settings):
                self.results[member] = SweptStudent(member, folder, "finished")
                return
        except Exception as error:  # noqa: BLE001 - kept in the student's result
            self._fail(member, folder, error)
            return
        size = card.preprocess.size
        key = _PassKey(
            samples=tuple(opened.samples),
            batch_size=run.training.batch_size,
            order_seed=run.order_seed(workspace),
            frames_size=size if opened.frames(size) is not None else None,
        )
        self._planned.append(_Planned(member, workspace, needs, run, settings, key))

    def train(self, max_together: int) -> None:
        """Train what was planned; students that cannot share a pass one after another."""
        groups: dict[_PassKey, list[_Planned]] = {}
        for planned in self._planned:
            groups.setdefault(planned.pass_key, []).append(planned)
        for group in groups.values():
            for start in range(0, len(group), max_together):
                self._train_together(group[start : start + max_together])
                # Networks and optimisers refer to one another: memory is free only after this.
                gc.collect()

    def _train_together(self, together: Sequence[_Planned]) -> None:
        opened = self._open(reduce(or_, (each.needs for each in together)))
        key = together[0].pass_key
        with self._views(opened, key) as views:
            lessons = Lessons(
                views=views,
                source=opened.signal(),
                samples=key.samples,
                row_of=opened.row_of,
                batch_size=key.batch_size,
                teacher_size=self._students.workspace.recipe.teacher.preprocess.size,
                seed=key.order_seed,
            )
            begun = self._prepare(together, lessons)
            if not begun:
                return
            description = f"{len(begun)} students"
            outcomes = train_together(
                [training.run(each.run.folder, settings=each.settings) for each, training in begun],
                description=begun[0][0].run.description if len(begun) == 1 else description,
                progress=self._progress,
            )
        for (planned, training), outcome in zip(begun, outcomes, strict=True):
            self._finish(planned, training, outcome)

    def _views(
        self, opened: BaseOpenedCache[Any], key: _PassKey
    ) -> AbstractContextManager[RenderedViews]:
        """The views of a group, checked against the cache or taken out of it."""
        if key.frames_size is None:
            # Those of all who decode, so that what is kept in memory serves every group.
            sizes = {
                each.run.card.preprocess.size
                for each in self._planned
                if each.pass_key.frames_size is None
            }
        else:
            sizes = {key.frames_size}
        views = self._students.views(tuple(sorted(sizes)))
        # One check for all groups: what it has passed is not looked at again.
        self._check = self._check or opened.check_frames
        return opened.serve(views, key.frames_size, self._check)

    def _prepare(
        self, together: Sequence[_Planned], lessons: Lessons[Any]
    ) -> list[tuple[_Planned, NetworkTraining[Any, Any]]]:
        begun = []
        for planned in together:
            try:
                training = planned.run.prepare(planned.workspace, lessons)
            except Exception as error:  # noqa: BLE001 - kept in the student's result
                self._fail(planned.member, planned.run.folder, error)
            else:
                begun.append((planned, training))
        return begun

    def _finish(
        self, planned: _Planned, training: NetworkTraining[Any, Any], outcome: Outcome
    ) -> None:
        member, folder, seconds = planned.member, planned.run.folder, outcome.seconds
        error = outcome.error
        if error is None:
            try:
                planned.run.finish(training, settings=planned.settings, seconds=seconds)
            except Exception as failure:  # noqa: BLE001 - kept in the student's result
                error = failure
        if error is None:
            self.results[member] = SweptStudent(member, folder, "trained", seconds)
        else:
            self._fail(member, folder, error, seconds)

    def _fail(self, member: Member, folder: Path, error: Exception, seconds: float = 0.0) -> None:
        text = "".join(traceback.format_exception(error))
        # Its frames would keep the network in memory.
        error.__cause__ = error.__context__ = None
        released = error.with_traceback(None)
        self._progress.note(f"{member.name}, seed {member.seed} failed: {released}")
        self.results[member] = SweptStudent(member, folder, "failed", seconds, released, text)

    def _open(self, needs: Requirements) -> BaseOpenedCache[Any]:
        if needs not in self._opened:
            opened = self._students.open_cache(self._store, needs, allowed=self._allowed)
            opened.signal()  # raises where the cache lacks something
            self._opened[needs] = opened
        return self._opened[needs]
