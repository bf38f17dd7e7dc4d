"""Many students at once: one process each, one thread each, all reading the same cache."""

import multiprocessing
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import lru_cache

import torch

from featkd.experiment import Workspace, distill, evaluate, evaluate_run
from featkd.recipes import Recipe
from featkd.types import Progress

Job = tuple[str, int]
"""Name of a distiller in the recipe, and a seed."""


def train_students(
    recipe: Recipe, jobs: Sequence[Job], *, split: str, num_processes: int, progress: Progress
) -> dict[Job, float]:
    """Train what is missing and measure top-1 on a split; by job, whatever order they end in.

    On the recipe's test split the result is also written as the run's ``evaluation.json``.
    """
    top1: dict[Job, float] = {}
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(num_processes, context, initializer=_use_one_thread) as pool:
        running = {pool.submit(_train_student, recipe, job, split): job for job in jobs}
        for future in progress.track(
            as_completed(running), description="students", total=len(jobs), unit="student"
        ):
            job = running[future]
            top1[job] = future.result()
            progress.note(f"{job[0]}, seed {job[1]}: {top1[job]:.1%} on {split}")
    return top1


def _use_one_thread() -> None:
    torch.set_num_threads(1)


def _train_student(recipe: Recipe, job: Job, split: str) -> float:
    workspace = _workspace(recipe.model_dump_json())
    distill(workspace, *job)
    folder = workspace.student_folder(*job)
    if split == recipe.data.test_split:
        return evaluate_run(workspace, folder).top1
    return evaluate(workspace, folder / "model.safetensors", split).top1


@lru_cache(maxsize=1)
def _workspace(recipe_json: str) -> Workspace:
    """One per process, so that its rendered views serve every student the process trains."""
    return Workspace(Recipe.model_validate_json(recipe_json))
