"""Shows what became of the students of a sweep."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from featkd.cli.failures import describe_failure
from featkd.cli.figures import UNKNOWN, duration, percent
from featkd.cli.tables import print_json, print_listed, print_table
from featkd.evaluation import read_run
from featkd.experiment import SweptStudent


def print_sweep(
    students: Sequence[SweptStudent],
    task: Literal["classification", "detection"],
    *,
    as_json: bool,
) -> None:
    """A table with a row for each student, then why some failed; or JSON."""
    rows = [_row(student) for student in students]
    if as_json:
        print_json({"students": [asdict(row) for row in rows]})
        return
    scores: dict[str, Callable[[_Row], float | None]] = (
        {"mAP % test": lambda row: row.test_average_map}
        if task == "detection"
        else {
            "top-1 % training": lambda row: row.train_top1,
            "top-1 % test": lambda row: row.test_top1,
        }
    )
    print_table(
        ["student", "seed", "state", "time", "loss", *scores],
        [
            [
                row.name,
                str(row.seed),
                "was finished already" if row.state == "finished" else row.state,
                duration(row.seconds) if row.state == "trained" else UNKNOWN,
                UNKNOWN if row.train_loss is None else f"{row.train_loss:.4g}",
                *(percent(score(row)) for score in scores.values()),
            ]
            for row in rows
        ],
        numeric=["seed", "time", "loss", *scores],
    )
    failures = [f"{row.name}, seed {row.seed}: {row.error}" for row in rows if row.error]
    print_listed(failures, f"{len(failures)} of {len(rows)} students failed:")


@dataclass(frozen=True, slots=True)
class _Row:
    """A student as JSON tells it; training's figures are those of its last finished epoch."""

    name: str
    distiller: str
    seed: int
    overrides: tuple[str, ...]
    folder: Path
    state: str
    seconds: float
    num_epochs: int
    train_loss: float | None
    train_top1: float | None
    test_top1: float | None
    test_average_map: float | None
    error: str | None


def _row(student: SweptStudent) -> _Row:
    member, error = student.member, student.error
    # A student that failed before its first step may have left nothing.
    run = read_run(student.folder) if (student.folder / "recipe.yaml").is_file() else None
    last = run.epochs[-1] if run is not None and run.epochs else {}
    evaluation = run.evaluation if run is not None else None
    detection = run.detection if run is not None else None
    return _Row(
        name=member.name,
        distiller=member.distiller,
        seed=member.seed,
        overrides=member.overrides,
        folder=student.folder,
        state=student.state,
        seconds=student.seconds,
        num_epochs=int(last.get("epoch", 0)),
        train_loss=last.get("train.loss"),
        train_top1=last.get("train.top1"),
        test_top1=None if evaluation is None else evaluation.top1,
        test_average_map=None if detection is None else detection.average,
        error=None if error is None else describe_failure(error, "featkd sweep").line,
    )
