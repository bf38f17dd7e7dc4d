import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import Result

from featkd.cache import ArraySpec
from featkd.cli.plan_tables import break_even, print_plan
from featkd.extract.plan import PROCESSOR, Plan, PlannedArray
from featkd.extract.trial import Trial

Featkd = Callable[..., Result]
Tiny = Callable[..., list[str]]

SPEC = ArraySpec(name="logits", shape=(12,), dtype="float32")

PLAN = Plan(
    arrays=(PlannedArray(SPEC, 1000, 2048, 1024.0, None),),
    num_rows=1000,
    num_rows_missing=1000,
    seconds={"decode": 3600.0, "teacher": 7200.0, "write": 60.0},
    total_sec=7200.0,
    whole_sec=7200.0,
    free_bytes=2**30,
    student_rows=5000,
    teacher_sec=7.2,
    read_sec=0.0,
    trial=Trial(16, 1, 1.0, 7.2, 0.1, 0.0, 20.0, {}, {}),
)


def test_plan__table_and_json_agree(
    featkd: Featkd, tiny: Tiny, own_workdir: Path, tmp_path: Path
) -> None:
    (own_workdir / "cache").rename(tmp_path / "cache")
    before = set(own_workdir.rglob("*"))
    result = featkd("plan", "demo", "--rows", 4, *tiny(own_workdir))
    assert result.exit_code == 0, result.output
    planned = json.loads(featkd("plan", "demo", "--rows", 4, "--json", *tiny(own_workdir)).stdout)
    assert set(own_workdir.rglob("*")) == before
    for array in planned["arrays"]:
        assert array["name"] in result.stdout
        assert array["num_rows_missing"] == 16
    assert planned["num_bytes"] == planned["num_bytes_missing"] > 0
    assert planned["fits"]
    assert planned["trial"]["num_rows"] == 4
    assert "rows: 16, 16 still to be computed" in result.stdout
    assert "measured on 4 views" in result.stdout
    assert "the bottleneck is " in result.stdout
    assert "afterwards" in result.stdout


def test_plan__complete_cache_needs_nothing(featkd: Featkd, tiny: Tiny, workdir: Path) -> None:
    result = featkd("plan", "demo", "--rows", 2, *tiny(workdir))
    assert result.exit_code == 0, result.output
    assert "time: none, the cache is complete" in result.stdout
    assert "room: 0 B to be written" in result.stdout


def test_plan__before_there_is_a_teacher(featkd: Featkd, tiny: Tiny, own_workdir: Path) -> None:
    (own_workdir / "teacher" / "model.safetensors").unlink()
    result = featkd("plan", "demo", *tiny(own_workdir))
    assert result.exit_code == 1
    assert result.stdout == ""
    assert "featkd train" in result.stderr


def test_plan__says_hours_room_and_bottleneck(capsys: pytest.CaptureFixture[str]) -> None:
    print_plan(PLAN, as_json=False)
    lines = capsys.readouterr().out.splitlines()
    assert "measured on 16 views, of which 1 could not serve" in lines
    assert (
        "time: 2 h 00 min; the bottleneck is running the teacher "
        "(by themselves: decode 1 h 00 min, teacher 2 h 00 min, write 1 min 00 s)"
    ) in lines
    assert "room: 1000.0 KiB to be written, 1.0 GiB free now, 1023.0 MiB afterwards" in lines


def test_plan__says_where_the_stages_share_the_processor(
    capsys: pytest.CaptureFixture[str],
) -> None:
    shared = replace(PLAN, seconds={**PLAN.seconds, PROCESSOR: 9000.0}, total_sec=9000.0)
    print_plan(shared, as_json=False)
    assert "time: 2 h 30 min; the bottleneck is the processor, which" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "within the first student: all of it takes 2 h 00 min, and a teacher in the loop"),
        ({}, " would cost every student 10 h 00 min more"),
        ({"student_rows": 300}, "after 4 students: all of it takes 2 h 00 min, "),
        ({"read_sec": 7.2}, "does not pay: to read a row takes as long as to ask the teacher"),
    ],
)
def test_plan__break_even(changes: dict[str, float], expected: str) -> None:
    assert expected in break_even(replace(PLAN, **changes))


def test_plan__says_that_it_does_not_fit(capsys: pytest.CaptureFixture[str]) -> None:
    array = PlannedArray(SPEC, 1000, 48, 3 * 2**30 / 1000, None)
    print_plan(replace(PLAN, arrays=(array,)), as_json=False)
    assert "it does not fit, 2.0 GiB are lacking" in capsys.readouterr().out
