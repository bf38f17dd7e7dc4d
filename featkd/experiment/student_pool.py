"""Many students: trained what is missing, measured what is not, in one process or several."""

import multiprocessing
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from threading import Thread

import torch
from pydantic import TypeAdapter

from featkd.cache import sha256_of_state_dict
from featkd.detection.checkpoint import read_detector
from featkd.experiment.detection.workspace import DetectionWorkspace
from featkd.experiment.distill import distill
from featkd.experiment.open_workspace import AnyWorkspace, open_workspace
from featkd.experiment.scores import MEASURES, record_score, score_on
from featkd.experiment.workspace import read_json, write_json
from featkd.models import read_weights
from featkd.recipes import AnyRecipe
from featkd.types import Progress, Silent


@dataclass(frozen=True, slots=True)
class Student:
    """One run: a distiller of a recipe, and a seed."""

    name: str
    seed: int


def train_students(
    recipe: AnyRecipe,
    students: Sequence[Student],
    *,
    split: str,
    num_processes: int = 1,
    progress: Progress | None = None,
) -> dict[Student, float]:
    """Scores of students on a split; those that are not trained or measured yet are first.

    The score of a classifier is top-1, that of a detector the average of its mAP.

    On the recipe's test split the result is the run's ``evaluation.json``; on another it is kept
    beside it, in ``<split>.json``.

    Args:
        recipe: its cache must be complete.
        students: of the recipe's distillers.
        split: to measure on.
        num_processes: students that are trained at once, each by a process of its own, which share
            the cores. 1 trains them here, one after another.
        progress: shows the work.

    Raises:
        FeatkdError: what training or measuring meets, of the first student that fails; those that
            were finished before stay finished.
    """
    shown = progress or Silent()
    if num_processes == 1:
        workspace = open_workspace(recipe)
        return {student: _score(workspace, student, split, shown) for student in students}
    scores: dict[Student, float] = {}
    for student, value in shown.track(
        _in_processes(recipe, students, split, num_processes),
        description="students",
        total=len(students),
        unit="student",
    ):
        scores[student] = value
        shown.note(f"{student.name}, seed {student.seed}: {value:.1%} on {split}")
    return scores


def _in_processes(
    recipe: AnyRecipe, students: Sequence[Student], split: str, num_processes: int
) -> Iterator[tuple[Student, float]]:
    with _worker_pool(num_processes) as pool:
        content = recipe.model_dump_json()
        running = {pool.submit(_work, content, student, split): student for student in students}
        try:
            for future in as_completed(running):
                yield running[future], future.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _worker_pool(num_processes: int) -> ProcessPoolExecutor:
    """Processes that share the cores, and end when this one does, however it ends."""
    threads = max(1, (os.cpu_count() or 1) // num_processes)
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(num_processes, context, initializer=_set_up, initargs=(threads,))


def _set_up(num_threads: int) -> None:
    torch.set_num_threads(num_threads)
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None  # noqa: S101 - this process was started by another
    parent.join()
    os._exit(1)


def _work(recipe_json: str, student: Student, split: str) -> float:
    return _score(_workspace(recipe_json), student, split, Silent())


@lru_cache(maxsize=1)
def _workspace(recipe_json: str) -> AnyWorkspace:
    """One per process, so that its rendered views serve every student the process trains."""
    recipe: AnyRecipe = TypeAdapter(AnyRecipe).validate_json(recipe_json)
    return open_workspace(recipe)


def _score(workspace: AnyWorkspace, student: Student, split: str, progress: Progress) -> float:
    distill(workspace, student.name, student.seed, progress=progress)
    folder = workspace.student_folder(student.name, student.seed)
    digest = _digest(workspace, folder / "model.safetensors")
    measure = MEASURES[workspace.recipe.task]
    is_test = split == workspace.recipe.data.test_split
    path = folder / ("evaluation.json" if is_test else f"{split}.json")
    if path.is_file() and read_json(path)["weights_sha256"] == digest:
        return float(str(read_json(path)[measure]))
    if is_test:
        return record_score(workspace, folder, progress)
    score = score_on(workspace, folder, split, progress)
    write_json(path, {measure: score, "weights_sha256": digest})
    return score


def _digest(workspace: AnyWorkspace, weights: Path) -> str:
    is_detector = isinstance(workspace, DetectionWorkspace)
    return sha256_of_state_dict((read_detector if is_detector else read_weights)(weights)[1])
