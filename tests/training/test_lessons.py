"""A lesson is made once and shown to many: what it gives is the same object, and stays as it is."""

from collections.abc import Callable
from pathlib import Path

import torch

from featkd.cache.signal import SignalRequest
from featkd.experiment import Workspace
from featkd.models import PreprocessSpec, preprocess
from featkd.training import Lessons
from featkd.types import TeacherSignal

CPU = torch.device("cpu")


class Rows:
    """A teacher whose logits are the rows it is asked for."""

    needs_clips = False

    def signal(self, request: SignalRequest) -> TeacherSignal:
        return TeacherSignal(logits=torch.tensor(request.rows).float()[:, None])


def make_lessons(workspace: Workspace, **changes: object) -> Lessons:
    views = workspace.rendered("train", workspace.recipe.views.train, (24, 32))
    settings = {
        "views": views,
        "source": Rows(),
        "samples": range(11),
        "row_of": lambda sample, view_index: 2 * sample + view_index,
        "batch_size": 4,
        "teacher_size": 32,
        "seed": 0,
        **changes,
    }
    return Lessons(**settings)


def test_lessons__batches_with_their_rows(
    tmp_path: Path, make_workspace: Callable[..., Workspace]
) -> None:
    lessons = make_lessons(make_workspace(tmp_path))
    assert len(lessons) == 2
    first, second = lessons.of_epoch(2)
    for lesson in (first, second):
        assert lesson.batch.view_indices == (1, 1, 1, 1)
        rows = [2 * sample + 1 for sample in lesson.batch.samples]
        assert lesson.signal.logits.flatten().tolist() == rows
    assert len({*first.batch.samples, *second.batch.samples}) == 8
    example = lessons.example()
    assert (example.batch.samples, example.batch.view_indices) == ((0,), (0,))


def test_lessons__order_follows_seed_and_epoch(
    tmp_path: Path, make_workspace: Callable[..., Workspace]
) -> None:
    workspace = make_workspace(tmp_path)

    def order(seed: int, epoch: int) -> list[tuple[int, ...]]:
        return [each.batch.samples for each in make_lessons(workspace, seed=seed).of_epoch(epoch)]

    assert order(0, 1) == order(0, 1)
    assert order(0, 1) != order(0, 2)
    assert order(0, 1) != order(1, 1)


def test_lesson__clips_are_made_once_for_each_input(
    tmp_path: Path, make_workspace: Callable[..., Workspace]
) -> None:
    lesson = make_lessons(make_workspace(tmp_path)).example()
    specs = [
        PreprocessSpec(size=32),
        PreprocessSpec(size=24),
        PreprocessSpec(size=32, mean=(0.4, 0.4, 0.4)),
    ]
    for spec in specs:
        clips = lesson.clips(spec, CPU)
        assert torch.equal(clips, preprocess(lesson.batch.clips[spec.size], spec, CPU))
        assert lesson.clips(PreprocessSpec.model_validate(spec.model_dump()), CPU) is clips
    assert lesson.signal_on(CPU) is lesson.signal_on(CPU)


def test_lessons__requests_count_visits(
    tmp_path: Path, make_workspace: Callable[..., Workspace]
) -> None:
    class Visits(Rows):
        def signal(self, request: SignalRequest) -> TeacherSignal:
            return TeacherSignal(logits=torch.full((len(request.rows), 1), float(request.visit)))

    lessons = make_lessons(make_workspace(tmp_path), source=Visits())
    found = [
        {
            value
            for each in lessons.of_epoch(epoch)
            for value in each.signal.logits.flatten().tolist()
        }
        for epoch in range(1, 6)
    ]
    assert found == [{0}, {0}, {1}, {1}, {2}]  # two views a clip
    assert lessons.example().signal.logits.item() == 0
