import math
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from featkd.cache import FolderStore, take_inventory
from featkd.errors import CheckpointError, FingerprintError, UsageError
from featkd.experiment import FrozenTeacher, Workspace, taps_to_extract
from featkd.extract import extract
from featkd.extract.job import LayerJob, describe_arrays
from featkd.extract.plan import PROCESSOR, plan
from featkd.extract.trial import Trial, run_trial

MakeWorkspace = Callable[..., Workspace]

TRIAL = Trial(
    num_rows=4,
    num_failed=0,
    decode_sec=0.3,
    teacher_sec=0.1,
    write_sec=0.02,
    read_sec=0.001,
    wall_sec=1.0,
    array_bytes={},
    codec_errors={},
)


def _files(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


@pytest.fixture
def trained(tmp_path: Path, extracted: Path, make_workspace: MakeWorkspace) -> Path:
    """Folder of an experiment with the teacher of ``extracted`` and no cache."""
    make_workspace(tmp_path)
    (tmp_path / "teacher").symlink_to(extracted / "teacher")
    return tmp_path


@pytest.fixture
def fixed_trial(monkeypatch: pytest.MonkeyPatch) -> None:
    """A trial of known seconds, in which every row of every array takes 10 bytes."""

    def fake(workspace: Workspace, job: LayerJob, teachers: object, *, num_rows: int) -> Trial:
        return replace(TRIAL, array_bytes=dict.fromkeys(job.array_names, 10.0))

    monkeypatch.setattr("featkd.extract.plan.run_trial", fake)
    monkeypatch.setattr("featkd.extract.plan.free_bytes", lambda path: 1000)
    monkeypatch.setattr(os, "cpu_count", lambda: 8)


def test_plan__leaves_nothing(trained: Path, make_workspace: MakeWorkspace) -> None:
    workspace = make_workspace(trained)
    before = _files(trained)
    made = plan(workspace, num_rows=4)
    assert made.trial.num_rows == 4
    after = _files(trained)
    assert after.keys() == before.keys()
    assert {p for p in after if after[p] != before[p]} <= {trained}


def test_plan__leaves_nothing_below_a_relative_folder(
    trained: Path, make_workspace: MakeWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = make_workspace(trained).recipe
    monkeypatch.chdir(trained.parent)
    before = set(_files(trained))
    plan(Workspace(recipe.model_copy(update={"workdir": Path(trained.name)})), num_rows=2)
    assert set(_files(trained)) == before


def test_plan__bytes_are_those_of_the_extraction(
    extracted: Path, trained: Path, make_workspace: MakeWorkspace
) -> None:
    made = plan(make_workspace(trained), num_rows=10)
    assert made.num_rows == made.num_rows_missing == 24
    with FolderStore.open(extracted / "cache") as store:
        inventory = {item.spec.name: item for item in take_inventory(store)}
    assert {array.spec.name for array in made.arrays} == inventory.keys()
    for array in made.arrays:
        cached = inventory[array.spec.name]
        assert array.spec == cached.spec
        assert array.raw_row_bytes == cached.raw_row_bytes
        assert array.num_rows_missing == 24
        assert array.row_bytes == pytest.approx(cached.row_bytes, rel=0.25)
    assert made.missing_bytes == pytest.approx(made.total_bytes)
    assert made.free_bytes > made.missing_bytes


def test_plan__number_formats_are_measured(trained: Path, make_workspace: MakeWorkspace) -> None:
    made = plan(make_workspace(trained, "extract.dtype=float8_e4m3"), num_rows=4)
    errors = {array.spec.name: array.codec_error for array in made.arrays}
    assert errors["view_crc32"] is None
    logits, features = errors["logits"], errors["features/Mixed_5c.full"]
    assert logits is not None
    assert logits.relative_l2 == 0
    assert features is not None
    assert 0.005 < features.relative_l2 < 0.1


def test_plan__complete_cache(extracted: Path, make_workspace: MakeWorkspace) -> None:
    workspace = make_workspace(extracted)
    before = _files(extracted / "cache")
    made = plan(workspace, num_rows=2)
    assert made.num_rows_missing == 0
    assert made.missing_bytes == 0
    assert made.total_sec == 0
    assert made.whole_sec > 0
    assert _files(extracted / "cache") == before


def test_plan__another_tap_alone_is_missing(extracted: Path, make_workspace: MakeWorkspace) -> None:
    made = plan(make_workspace(extracted, "extract.taps=[Mixed_4f.pooled]"), num_rows=2)
    missing = {array.spec.name: array.num_rows_missing for array in made.arrays}
    assert missing.pop("features/Mixed_4f.pooled") == 24
    assert set(missing.values()) == {0}
    assert made.num_rows_missing == 24
    assert 0 < made.total_sec <= made.whole_sec


def test_plan__more_views_are_missing_of_every_array(
    extracted: Path, make_workspace: MakeWorkspace
) -> None:
    views = "views.train={num_frames: 16, num_views: 5, horizontal_flip: false}"
    made = plan(make_workspace(extracted, views), num_rows=2)
    assert made.num_rows == 60
    assert {array.num_rows_missing for array in made.arrays} == {36}


def test_plan__unfinished_cache(trained: Path, make_workspace: MakeWorkspace) -> None:
    workspace = make_workspace(trained)
    extract(workspace)
    for part in (0, 4):  # the last part is shorter: it has 4 rows
        (trained / "cache" / "commits" / "teacher" / f"{part:06d}.json").unlink()
    assert plan(workspace, num_rows=2).num_rows_missing == 5 + 4


def test_plan__seconds_by_hand(
    trained: Path, make_workspace: MakeWorkspace, fixed_trial: None
) -> None:
    # Four rows in batches of two took 0.4 s: 0.2 s a batch. A part of 5 rows needs 3 batches.
    made = plan(make_workspace(trained, "loading.num_workers=4"), num_rows=4)
    teacher_sec = 3 * 0.2 / 5
    assert made.teacher_sec == pytest.approx(teacher_sec)
    assert made.seconds == pytest.approx(
        {
            "decode": 24 * 0.3 / 4,
            "teacher": 24 * teacher_sec,
            "write": 24 * 0.02,
            PROCESSOR: 24 * (0.3 + teacher_sec + 0.02) / 8,  # the tests run on one thread
        }
    )
    assert made.bottleneck == "teacher"
    assert made.total_sec == made.whole_sec == pytest.approx(24 * teacher_sec)
    assert made.missing_bytes == 24 * 10 * len(made.arrays)
    # Two epochs of twelve clips.
    assert made.saved_sec == pytest.approx(24 * (teacher_sec - 0.001))
    assert made.break_even_students == pytest.approx(teacher_sec / (teacher_sec - 0.001))


def test_plan__few_decoders_are_the_bottleneck(
    trained: Path, make_workspace: MakeWorkspace, fixed_trial: None
) -> None:
    made = plan(make_workspace(trained, "loading.num_workers=1"), num_rows=4)
    assert made.bottleneck == "decode"
    assert made.total_sec == pytest.approx(24 * 0.3)


def test_plan__few_cores_are_the_bottleneck(
    trained: Path,
    make_workspace: MakeWorkspace,
    fixed_trial: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    made = plan(make_workspace(trained), num_rows=4)
    assert made.bottleneck == PROCESSOR
    assert made.total_sec == pytest.approx(24 * (0.3 + 0.12 + 0.02))


def test_plan__reading_slower_than_the_teacher_never_pays(
    trained: Path, make_workspace: MakeWorkspace, fixed_trial: None
) -> None:
    made = replace(plan(make_workspace(trained), num_rows=4), read_sec=1.0)
    assert made.saved_sec < 0
    assert made.break_even_students == math.inf


def test_plan__no_video_can_serve(trained: Path, make_workspace: MakeWorkspace) -> None:
    workspace = make_workspace(trained)
    for clip in workspace.train_clips():
        clip.path.write_bytes(b"damaged")
    with pytest.raises(UsageError, match="none of the 3 videos"):
        plan(workspace, num_rows=3)


def test_plan__one_bad_video_costs_its_row_only(
    trained: Path, make_workspace: MakeWorkspace
) -> None:
    workspace = make_workspace(trained)
    workspace.train_clips()[0].path.write_bytes(b"damaged")
    assert plan(workspace, num_rows=3).trial.num_failed == 1


def test_plan__without_teacher(tmp_path: Path, make_workspace: MakeWorkspace) -> None:
    with pytest.raises(CheckpointError, match="featkd train"):
        plan(make_workspace(tmp_path))


def test_plan__cache_of_other_views(extracted: Path, make_workspace: MakeWorkspace) -> None:
    with pytest.raises(FingerprintError, match="horizontal_flip"):
        plan(make_workspace(extracted, "views.train={num_frames: 16, num_views: 2}"))


def test_trial__later_layer_alone(extracted: Path, make_workspace: MakeWorkspace) -> None:
    workspace = make_workspace(extracted, "extract.taps=[Mixed_4f.pooled]")
    teacher = FrozenTeacher(workspace).with_taps(taps_to_extract(workspace.recipe))
    (spec,) = [
        spec
        for spec in describe_arrays(workspace.recipe, teacher)
        if spec.name == "features/Mixed_4f.pooled"
    ]
    trial = run_trial(workspace, LayerJob("teacher-2", (spec,)), [teacher], num_rows=3)
    assert trial.array_bytes[spec.name] > 0
    assert trial.read_sec > 0
