"""A teacher's training leaves its logits, and a student replays them."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from featkd.cache import FolderStore
from featkd.errors import CheckpointError, FingerprintError, RequirementError
from featkd.experiment import FrozenTeacher, Workspace, distill, train_teacher
from featkd.experiment.needs import distiller_requirements
from featkd.experiment.opened_cache import OpenedCache
from featkd.experiment.teacher import NoTeacher, teacher_run
from featkd.extract import extract
from featkd.models import place
from featkd.training import Lessons, seed_everything
from featkd.training.optimiser import Optimiser

MakeWorkspace = Callable[..., Workspace]
Item = TypeVar("Item")

NUM_EPOCHS, NUM_VIEWS, NUM_CLIPS = 3, 2, 12
SETTINGS = (
    "teacher.training.record_logits=true",
    f"teacher.training.num_epochs={NUM_EPOCHS}",
    "teacher.training.batch_size=5",  # two clips of an epoch are left out
    "student.training.num_epochs=5",
    "distillers={replayed: {kind: collaborative, scratch_source: trajectory, layers: [Mixed_5c]}}",
)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory, make_workspace: MakeWorkspace) -> Path:
    """An experiment whose teacher recorded its training, extracted; do not change it."""
    folder = tmp_path_factory.mktemp("recorded") / "work"
    workspace = make_workspace(folder, *SETTINGS)
    train_teacher(workspace)
    extract(workspace)
    return folder


@pytest.fixture
def work(tmp_path: Path, recorded: Path) -> Path:
    shutil.copytree(recorded, tmp_path / "work")
    return tmp_path / "work"


def teacher_lessons(workspace: Workspace) -> Lessons:
    return Lessons(
        views=workspace.rendered("train", workspace.recipe.views.train, (32,)),
        source=NoTeacher(),
        samples=range(NUM_CLIPS),
        row_of=lambda sample, view_index: NUM_VIEWS * sample + view_index,
        batch_size=5,
        teacher_size=32,
        seed=0,
    )


def test_train_teacher__records_the_logits_of_its_steps(
    recorded: Path, make_workspace: MakeWorkspace
) -> None:
    workspace = make_workspace(recorded, *SETTINGS)
    run, lessons, cpu = teacher_run(workspace), teacher_lessons(workspace), torch.device("cpu")
    seed_everything(run.seed)
    network = place(run.card.build(), cpu)
    optimiser = Optimiser(
        run.training.optimiser,
        network.parameters(),
        steps_per_epoch=len(lessons),
        num_epochs=NUM_EPOCHS,
    )
    expected = np.full((2, NUM_VIEWS, NUM_CLIPS, 3), np.nan, np.float16)
    for epoch in range(1, NUM_EPOCHS + 1):
        seed_everything(run.seed, epoch)
        for lesson in lessons.of_epoch(epoch):
            logits = network(lesson.clips(run.card.preprocess, cpu)).logits
            for sample, row in zip(lesson.batch.samples, logits.tolist(), strict=True):
                expected[(epoch - 1) // NUM_VIEWS, (epoch - 1) % NUM_VIEWS, sample] = row
            optimiser.step(F.cross_entropy(logits, lesson.batch.labels))
    found = np.load(recorded / "teacher" / "trajectory.npy")
    np.testing.assert_array_equal(found, expected)
    assert np.isfinite(found[..., 0]).sum() == NUM_EPOCHS * 10


def test_train_teacher__stopped_and_resumed_records_the_same(
    tmp_path: Path, recorded: Path, make_workspace: MakeWorkspace, interrupted_after
) -> None:
    workspace = make_workspace(tmp_path, *SETTINGS)
    file = tmp_path / "teacher" / "trajectory.npy"
    with interrupted_after(3) as progress:  # in the second of three epochs
        train_teacher(workspace, progress)
    assert np.isfinite(np.load(file)[..., 0]).sum() == 10
    train_teacher(workspace)
    assert file.read_bytes() == (recorded / "teacher" / "trajectory.npy").read_bytes()


def test_train_teacher__resumed_without_what_it_recorded(
    tmp_path: Path, make_workspace: MakeWorkspace, interrupted_after
) -> None:
    workspace = make_workspace(tmp_path, *SETTINGS)
    with interrupted_after(3) as progress:
        train_teacher(workspace, progress)
    (tmp_path / "teacher" / "trajectory.npy").unlink()
    with pytest.raises(CheckpointError, match=r"trajectory\.npy is missing.*epoch 1 is done"):
        train_teacher(workspace)


def test_signal__is_that_of_the_teachers_epoch(
    recorded: Path, make_workspace: MakeWorkspace
) -> None:
    workspace = make_workspace(recorded, *SETTINGS)
    needs = distiller_requirements(workspace.recipe, "replayed")
    file = np.load(recorded / "teacher" / "trajectory.npy")
    # View 1 was shown once. After the teacher's last epoch, its last visit to a view counts.
    epochs_of_the_teacher = {1: 1, 2: 2, 3: 3, 4: 2, 5: 3, 6: 2}
    with FolderStore.open(workspace.cache_path) as store:
        opened = OpenedCache(workspace, store, FrozenTeacher(workspace), needs)
        lessons = teacher_lessons(workspace)
        lessons.source, lessons.row_of = opened.signal(), opened.row_of
        for epoch, replayed in epochs_of_the_teacher.items():
            expected = file[(replayed - 1) // NUM_VIEWS, (replayed - 1) % NUM_VIEWS]
            for lesson in lessons.of_epoch(epoch):
                found = lesson.signal.trajectory
                assert found is not None
                np.testing.assert_array_equal(
                    found.numpy(), expected[list(lesson.batch.samples)].astype(np.float32)
                )


def test_distill__replays_the_trajectory(work: Path, make_workspace: MakeWorkspace) -> None:
    workspace = make_workspace(work, *SETTINGS)
    (work / "teacher" / "trajectory.npy").unlink()  # the cache is enough
    assert distill(workspace, "replayed", 0)
    folder = workspace.student_folder("replayed", 0)
    records = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert len(records) == 5
    for record in records:
        assert record["train.hint"] > 0
        assert "train.scratch" not in record
        assert record["train.loss"] == pytest.approx(
            record["train.cross_entropy"]
            + 0.03 * record["train.hint"]
            + 1000 * record["train.at.Mixed_5c"],
            rel=1e-4,
        )


def test_distill__a_live_teacher_has_no_trajectory(
    work: Path, make_workspace: MakeWorkspace
) -> None:
    with pytest.raises(RequirementError, match="can only be read from a cache"):
        distill(make_workspace(work, *SETTINGS), "replayed", 0, signal="live")


def test_distill__the_cache_has_no_trajectory(work: Path, make_workspace: MakeWorkspace) -> None:
    with FolderStore.open_for_writing(work / "cache") as store:
        store.remove_arrays(["trajectory"])
    with pytest.raises(RequirementError, match="lacks trajectory; run: featkd extract"):
        distill(make_workspace(work, *SETTINGS), "replayed", 0)


def test_distill__other_views_a_clip(work: Path, make_workspace: MakeWorkspace) -> None:
    workspace = make_workspace(work, *SETTINGS, "views.train.num_views=1")
    with pytest.raises(
        FingerprintError, match=r"trajectory\.num_views is 2 in the cache, but 1 is expected"
    ):
        distill(workspace, "replayed", 0)
