"""Students trained side by side are the students that were trained alone."""

import json
import shutil
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pytest
import torch
from safetensors.torch import load_file

from featkd.distillers import AT, LossTerms
from featkd.errors import FingerprintError, RecipeError, TrainingError, UsageError
from featkd.experiment import Member, SweptStudent, Workspace, distill, represent, sweep, vary
from featkd.extract import extract
from featkd.models import VideoClassifier
from featkd.recipes import load_recipe
from featkd.training import Lesson, Lessons

MakeWorkspace = Callable[..., Workspace]
Item = TypeVar("Item")

DROPOUT = "student.model.dropout=0.3"
EPOCHWISE = "distillers.epochwise={kind: generative, alternation: epoch}"
SETTINGS = (DROPOUT, EPOCHWISE)


@pytest.fixture(scope="module")
def represented(
    tmp_path_factory: pytest.TempPathFactory, extracted: Path, make_workspace: MakeWorkspace
) -> Path:
    """The extracted experiment with a representation; do not change it."""
    folder = tmp_path_factory.mktemp("represented") / "work"
    shutil.copytree(extracted, folder)
    represent(make_workspace(folder))
    return folder


@pytest.fixture
def work(tmp_path: Path, represented: Path) -> Path:
    """A copy to be changed."""
    shutil.copytree(represented, tmp_path / "work")
    return tmp_path / "work"


def weights_of(results: Sequence[SweptStudent]) -> dict[str, dict[str, torch.Tensor]]:
    return {each.folder.name: load_file(each.folder / "model.safetensors") for each in results}


def log_of(folder: Path) -> list[dict[str, float]]:
    """What a run logged, but for the time it took."""
    records = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    for record in records:
        del record["seconds"]
    return records


def assert_as_if_alone(workspace: Workspace, results: Sequence[SweptStudent]) -> None:
    """Train every student again, alone, in its own folder; compare all that it leaves."""
    swept = weights_of(results)
    for result in results:
        member, folder = result.member, result.folder
        log = log_of(folder)
        summary = json.loads((folder / "summary.json").read_text())
        recipe = load_recipe(folder / "recipe.yaml")
        assert recipe == member.workspace(workspace).recipe
        shutil.rmtree(folder)
        # From the recipe it left, in a workspace of its own: nothing is shared with the sweep.
        assert distill(Workspace(recipe), member.name, member.seed)
        alone = load_file(folder / "model.safetensors")
        assert alone.keys() == swept[folder.name].keys()
        assert all(torch.equal(swept[folder.name][name], alone[name]) for name in alone)
        assert log == log_of(folder)
        own_summary = json.loads((folder / "summary.json").read_text())
        del summary["seconds"], own_summary["seconds"]
        assert summary == own_summary


class Notes:
    """A progress that keeps what it is told, and calls back at every item."""

    def __init__(self, at_item: Callable[[], None] = lambda: None) -> None:
        self.notes: list[str] = []
        self.bars: list[tuple[str, int]] = []
        self.at_item = at_item

    def track(
        self, items: Iterable[Item], *, description: str, total: int, unit: str, done: int = 0
    ) -> Iterable[Item]:
        self.bars.append((description, total - done))
        for item in items:
            self.at_item()
            yield item

    def note(self, message: str) -> None:
        self.notes.append(message)


def test_sweep__each_student_as_if_alone(work: Path, make_workspace: MakeWorkspace) -> None:
    """Distillers, two seeds, two networks, two input sizes, other optimisers and epochs."""
    workspace = make_workspace(work, *SETTINGS)
    longer = "student.training={num_epochs: 3, batch_size: 4, optimiser: {learning_rate: 0.01}}"
    members = [
        *vary(["kd", "generative"], [0, 1], {}),
        *vary(["at", "epochwise"], [0], {}),
        *vary(["generative"], [0], {"student.model.name": ["i2d"]}),
        *vary(["kd"], [1], {"student.preprocess.size": [40], "student.model.width": [0.125]}),
        Member("kd", 0, ("distillers.kd.tau=1", longer)),
    ]
    progress = Notes()
    results = sweep(workspace, members, progress=progress)
    assert [result.member for result in results] == members
    assert {result.state for result in results} == {"trained"}
    # The seeds differ in order, so there are two passes; the longest run has three epochs, and the
    # generative one that alternates between epochs goes twice over the first two.
    assert progress.bars == [("6 students", 3 * (2 + 2 + 1)), ("3 students", 3 * 2)]
    assert_as_if_alone(workspace, results)


def test_sweep__the_order_of_the_recipe_lets_seeds_share_a_pass(
    work: Path, make_workspace: MakeWorkspace
) -> None:
    workspace = make_workspace(work, DROPOUT, "student.training.batch_order=recipe")
    progress = Notes()
    results = sweep(workspace, vary(["generative"], [3, 4], {}), progress=progress)
    assert progress.bars == [("2 students", 6)]
    assert_as_if_alone(workspace, results)
    assert log_of(results[0].folder) != log_of(results[1].folder)


def test_sweep__decodes_and_reads_once_for_all(
    work: Path, make_workspace: MakeWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    rendered: list[tuple[int, int]] = []
    asked: list[int] = []
    workspace = make_workspace(work, "loading.memory_gib=0")
    views = workspace.rendered("train", workspace.recipe.views.train, (32,))
    render, ask = views._render_from_file, Lessons._ask
    monkeypatch.setattr(
        views, "_render_from_file", lambda *key: (rendered.append(key), render(*key))[1]
    )
    monkeypatch.setattr(
        Lessons,
        "_ask",
        lambda self, batch, visit: (
            asked.append(len(batch.samples)),
            ask(self, batch, visit=visit),
        )[1],
    )
    members = vary(["none", "kd", "at", "generative"], [0], {})
    sweep(workspace, members)
    assert len(rendered) == len(members) + 2 * 12  # a view to measure shapes, then each epoch's
    assert sum(asked) == len(rendered)
    assert views.check is None


def test_sweep__with_rendered_views_in_the_cache(
    tmp_path: Path, extracted: Path, make_workspace: MakeWorkspace
) -> None:
    """Students take pixels as `distill` does: cached ones where there are some of their size."""
    shutil.copytree(extracted / "teacher", tmp_path / "teacher")
    workspace = make_workspace(tmp_path, "extract.frames={size: 32, image: jpeg, quality: 30}")
    extract(workspace)
    members = vary(["none", "kd"], [0], {"student.preprocess.size": [32, 40]})
    progress = Notes()
    results = sweep(workspace, members, progress=progress)
    assert progress.bars == [("2 students", 6), ("2 students", 6)]
    assert_as_if_alone(workspace, results)


def test_sweep__and_distill_know_of_each_other(work: Path, make_workspace: MakeWorkspace) -> None:
    workspace = make_workspace(work)
    distill(workspace, "none", 0)
    members = [Member("none", 0), Member("kd", 0), Member("kd", 0, ("distillers.kd.tau=2",))]
    results = sweep(workspace, members)
    assert [result.state for result in results] == ["finished", "trained", "trained"]
    assert results[0].seconds == 0
    assert not distill(workspace, "kd", 0)
    variant = work / "students" / "kd+tau_2-seed0"
    assert results[2].folder == variant
    assert not distill(Workspace(load_recipe(variant / "recipe.yaml")), "kd+tau_2", 0)
    assert [result.state for result in sweep(workspace, members)] == ["finished"] * 3


@pytest.mark.parametrize("num_steps", [2, 4])
def test_sweep__stopped_and_resumed(
    work: Path, make_workspace: MakeWorkspace, num_steps: int
) -> None:
    """Ctrl-C ends all; what is run again goes on, students that were added begin anew."""
    members = [
        *vary(["kd", "epochwise"], [0], {}),
        Member("kd", 0, ("student.training.num_epochs=1",)),
    ]
    left = num_steps

    def stop() -> None:
        nonlocal left
        if left == 0:
            raise KeyboardInterrupt
        left -= 1

    with pytest.raises(KeyboardInterrupt):
        sweep(make_workspace(work, *SETTINGS), members, progress=Notes(stop))
    begun = (work / "students" / "kd-seed0" / "checkpoint.pt").exists()
    assert begun == (num_steps >= 3)
    workspace = make_workspace(work, *SETTINGS)
    results = sweep(workspace, [*members, Member("at", 0)])
    assert {result.state for result in results} == {"trained"}
    assert_as_if_alone(workspace, results)


def test_sweep__a_failed_student_does_not_end_the_others(
    work: Path, make_workspace: MakeWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Failing when planned, when prepared, in a step, and by a loss that is not finite."""
    workspace = make_workspace(work, "distillers.lacking={kind: at, layers: [Mixed_4b]}")
    members = [
        *vary(["none", "kd", "at", "lacking"], [0], {}),
        Member("none", 0, ("student.training.batch_size=64",)),
        Member("none", 0, ("student.training.optimiser={learning_rate: 1.0e+30}",)),
    ]
    compute, num_calls = AT.__call__, 0

    def fail_in_the_second_epoch(*arguments: object) -> LossTerms:
        nonlocal num_calls
        num_calls += 1
        if num_calls == 5:
            raise ValueError("out of luck")
        return compute(*arguments)

    monkeypatch.setattr(AT, "__call__", fail_in_the_second_epoch)
    progress = Notes()
    results = sweep(workspace, members, progress=progress)
    errors = {result.member.name: result.error for result in results if result.state == "failed"}
    expected = {
        "at": (ValueError, "out of luck"),
        "lacking": (FingerprintError, "Mixed_4b"),
        "none+training.batch_size_64": (UsageError, "at least one batch of 64"),
        "none+training.optimiser_learning_rate_1.0e+30": (TrainingError, "expected a finite value"),
    }
    assert errors.keys() == expected.keys()
    for name, (kind, message) in expected.items():
        assert isinstance(errors[name], kind)
        assert message in str(errors[name])
        assert any(note.startswith(f"{name}, seed 0 failed: ") for note in progress.notes)
    by_name = {result.member.name: result for result in results}
    assert "fail_in_the_second_epoch" in by_name["at"].error_traceback
    assert_as_if_alone(workspace, [by_name["none"], by_name["kd"]])

    # What failed is tried again, and goes on from its last finished epoch.
    monkeypatch.undo()
    shutil.rmtree(by_name["none"].folder)
    again = {result.member.name: result for result in sweep(workspace, members)}
    states = [again[name].state for name in ("none", "kd", "at", "lacking")]
    assert states == ["trained", "finished", "trained", "failed"]
    assert len(log_of(again["at"].folder)) == 2
    assert_as_if_alone(workspace, [again["at"]])


def test_sweep__a_finished_run_with_other_settings_fails_alone(
    work: Path, make_workspace: MakeWorkspace
) -> None:
    distill(make_workspace(work, "distillers.kd.tau=2"), "kd", 0)
    before = (work / "students" / "kd-seed0" / "model.safetensors").read_bytes()
    other, own = sweep(make_workspace(work), vary(["kd", "none"], [0], {}))
    assert (other.state, own.state) == ("failed", "trained")
    assert "other settings" in str(other.error)
    assert (work / "students" / "kd-seed0" / "model.safetensors").read_bytes() == before


def test_sweep__memory_is_bounded(
    work: Path, make_workspace: MakeWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Never more networks than may be together, failed ones included; none is left at the end."""
    networks: weakref.WeakSet[VideoClassifier] = weakref.WeakSet()
    build = VideoClassifier.__init__

    def build_noted(self: VideoClassifier, *arguments: Any, **settings: Any) -> None:
        build(self, *arguments, **settings)
        if self.spec.name == "top_i3d":  # the teacher is another
            networks.add(self)

    monkeypatch.setattr(VideoClassifier, "__init__", build_noted)
    workspace = make_workspace(work, "distillers.bad={kind: kd, kd_weight: 1.0e+38}")
    counted: list[int] = []
    progress = Notes(lambda: counted.append(len(networks)))
    members = vary(["kd", "bad", "at", "generative", "none"], [0], {})
    results = sweep(workspace, members, max_together=2, progress=progress)
    assert [result.state for result in results] == ["trained", "failed", *["trained"] * 3]
    assert counted == [2] * 6 * 2 + [1] * 6
    assert len(networks) == 0


def test_sweep__a_lesson_stays_as_it_is(
    work: Path, make_workspace: MakeWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No student writes into what the next one will see."""
    lessons: list[tuple[Lesson, list[torch.Tensor], list[torch.Tensor]]] = []

    def tensors_of(lesson: Lesson) -> list[torch.Tensor]:
        signal = lesson.signal
        shown = [lesson.clips(workspace.recipe.student.preprocess, torch.device("cpu"))]
        shown += [lesson.batch.labels, *lesson.batch.clips.values()]
        return [*shown, signal.logits, *signal.features.values(), *signal.attention.values()]

    workspace = make_workspace(work, EPOCHWISE)
    of_epoch = Lessons.of_epoch

    def watched(self: Lessons, epoch: int) -> Iterator[Lesson]:
        for lesson in of_epoch(self, epoch):
            shown = tensors_of(lesson)
            lessons.append((lesson, shown, [tensor.clone() for tensor in shown]))
            yield lesson

    monkeypatch.setattr(Lessons, "of_epoch", watched)
    sweep(workspace, vary(["none", "kd", "at", "generative", "epochwise"], [0], {}))
    assert len(lessons) == 2 * 6
    for _, shown, copies in lessons:
        assert len(shown) == 3 + 1 + 3 + 1
        assert all(map(torch.equal, shown, copies))


def test_sweep__what_cannot_be_is_refused_before_anything_is_done(
    work: Path, make_workspace: MakeWorkspace
) -> None:
    workspace = make_workspace(work)
    good = Member("none", 0)
    for bad, kind, message in (
        (Member("sorcery", 0), UsageError, "'sorcery' is not in recipe 'demo'"),
        (Member("none", 0), UsageError, "two students of the sweep are called 'none' with seed 0"),
        (Member("kd", 0, ("distillers.kd.tau=-1",)), RecipeError, r"distillers\.kd\.kd\.tau is -1"),
        (Member("kd", 0, ("seed=3",)), UsageError, "'seed=3' of student 'kd'.* expected a key"),
    ):
        with pytest.raises(kind, match=message):
            sweep(workspace, [good, bad])
    with pytest.raises(UsageError, match="max_together is 0; expected 1 or more"):
        sweep(workspace, [good], max_together=0)
    assert not (work / "students").exists()
