import json
import math

import pytest

from featkd.errors import UsageError
from featkd.evaluation import find_runs, read_run, read_work_summary


def test_read_run__finished(write_run):
    folder = write_run("kd", 3, 30, summary={"temperature": 4})

    run = read_run(folder)

    assert (run.kind, run.name, run.seed, run.finished) == ("student", "kd", 3, True)
    assert run.summary.model == "top_i3d"
    assert run.summary.model_extra == {"temperature": 4}
    assert run.evaluation.top1 == 0.75
    assert [epoch["train.loss"] for epoch in run.epochs] == [2.0, 1.0]
    assert run.recipe.startswith("method: kd\n")


def test_read_run__unfinished_is_named_after_its_folder(write_run):
    run = read_run(write_run("kd-seed1", 12, hits=None))

    assert (run.kind, run.name, run.seed, run.finished) == ("student", "kd-seed1", 12, False)
    assert len(run.epochs) == 2


def test_read_run__trained_but_not_evaluated_is_unfinished(write_run):
    folder = write_run()
    (folder / "evaluation.json").unlink()

    run = read_run(folder)

    assert not run.finished
    assert run.summary is not None


def test_read_run__representation_needs_no_evaluation(write_run):
    assert read_run(write_run("ours", kind="representation")).finished


def test_read_run__keeps_numbers_only_and_ignores_an_epoch_being_written(write_run):
    folder = write_run(epochs=[{"epoch": 1, "train.loss": math.nan, "val.top1": None, "note": "x"}])
    with (folder / "metrics.jsonl").open("a") as log:
        log.write('{"epoch": 2, "train.lo')

    (epoch,) = read_run(folder).epochs

    assert sorted(epoch) == ["epoch", "train.loss"]
    assert math.isnan(epoch["train.loss"])


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("summary.json", "{", r"summary\.json is damaged"),
        ("summary.json", '{"kind": "student"}', r"summary\.json is damaged: name: .*required"),
        ("metrics.jsonl", '{"epoch": 1}\nnonsense\n', r"metrics\.jsonl line 2 is damaged"),
        ("metrics.jsonl", '{"train.loss": 1}\n', r"line 1 is damaged: .* integer epoch"),
        ("metrics.jsonl", "[1]\n", "line 1 is damaged"),
    ],
    ids=["json", "missing-key", "line", "no-epoch", "no-object"],
)
def test_read_run__names_the_damaged_file(write_run, name, text, message):
    folder = write_run()
    (folder / name).write_text(text)

    with pytest.raises(UsageError, match=message):
        read_run(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"top1": 75.0}, "top1"),
        ({"classes": ["walk", "run"]}, "confusion must be 2 x 2"),
        ({"num_videos": 41}, "counts 40 videos, num_videos is 41"),
    ],
    ids=["percent", "classes", "videos"],
)
def test_read_run__checks_the_evaluation(write_run, change, message):
    folder = write_run()
    path = folder / "evaluation.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))

    with pytest.raises(UsageError, match=message):
        read_run(folder)


def test_read_run__refuses_bytes_that_are_not_text(write_run):
    folder = write_run()
    (folder / "recipe.yaml").write_bytes(b"\xff\xfe\x00")

    with pytest.raises(UsageError, match=r"recipe\.yaml is damaged.*UTF-8"):
        read_run(folder)


def test_read_run__refuses_a_folder_without_a_run(tmp_path):
    with pytest.raises(UsageError, match="holds no run"):
        read_run(tmp_path)


def test_find_runs__work_folder_in_order_with_unfinished_runs(write_run, tmp_path):
    write_run("none", 10)
    write_run("none", 2)
    write_run("kd", 0, hits=None)
    write_run("ours", kind="representation")
    write_run("teacher", kind="teacher")
    (tmp_path / "students" / "at-seed0").mkdir()
    (tmp_path / "students" / ".trash").mkdir()
    (tmp_path / "cache").mkdir()

    found = [(run.kind, run.name, run.seed, run.finished) for run in find_runs(tmp_path)]

    assert found == [
        ("teacher", "teacher", 0, True),
        ("representation", "ours", 0, True),
        ("student", "at", 0, False),
        ("student", "kd", 0, False),
        ("student", "none", 2, True),
        ("student", "none", 10, True),
    ]


def test_find_runs__list_of_runs_and_work_folders(write_run, tmp_path):
    alone = write_run("kd", 0, folder=tmp_path / "elsewhere" / "mine")
    write_run("at", 1)

    assert [run.name for run in find_runs([alone, tmp_path])] == ["kd", "at"]


def test_find_runs__refuses_a_missing_folder(tmp_path):
    with pytest.raises(UsageError, match="nowhere does not exist"):
        find_runs(tmp_path / "nowhere")


def test_read_work_summary__present_absent_damaged(tmp_path):
    assert read_work_summary(tmp_path) is None
    (tmp_path / "summary.json").write_text('{"stages": {"extract": 3.5}}')
    assert read_work_summary(tmp_path).stages == {"extract": 3.5}
    (tmp_path / "summary.json").write_text('{"stages": {"extract": -1}}')
    with pytest.raises(UsageError, match=r"summary\.json is damaged: stages\.extract"):
        read_work_summary(tmp_path)
