"""Shows what an extraction will cost."""

import math

import click

from featkd.cli.codec_columns import CODEC_COLUMNS, array_json, codec_cells, shape_text
from featkd.cli.figures import duration, plural, size
from featkd.cli.tables import print_json, print_table
from featkd.extract.plan import PROCESSOR, Plan

_STAGES = {
    "decode": "decoding the videos",
    "teacher": "running the teacher",
    "write": "compressing and writing",
    PROCESSOR: "the processor, which decodes, runs the teacher and compresses",
}


def print_plan(plan: Plan, *, as_json: bool) -> None:
    """Arrays, then time, room and when the cache pays for itself."""
    if as_json:
        print_json(_to_json(plan))
        return
    print_table(
        ["array", "shape", "format", "compression", "a row, raw", "stored", "in all", "missing",
         *CODEC_COLUMNS],
        [
            [
                array.spec.name,
                shape_text(array.spec),
                array.spec.dtype,
                array.spec.compression,
                size(array.raw_row_bytes),
                size(round(array.row_bytes)),
                size(round(array.row_bytes * plan.num_rows)),
                plural(array.num_rows_missing, "row"),
                *codec_cells(array.codec_error),
            ]
            for array in plan.arrays
        ],
        numeric=["a row, raw", "stored", "in all", "missing", *CODEC_COLUMNS],
    )  # fmt: skip
    trial = plan.trial
    failed = f", of which {trial.num_failed} could not serve" if trial.num_failed else ""
    click.echo(f"measured on {plural(trial.num_rows, 'view')}{failed}")
    click.echo(f"rows: {plan.num_rows}, {plan.num_rows_missing} still to be computed")
    click.echo(_time(plan))
    click.echo(_room(plan))
    click.echo(break_even(plan))


def break_even(plan: Plan) -> str:
    """When the cache has cost less than keeping the teacher in the loop, in one sentence."""
    if math.isinf(plan.break_even_students):
        return (
            "the cache does not pay: to read a row takes as long as to ask the teacher "
            f"({duration(plan.read_sec)})"
        )
    when = (
        "within the first student"
        if plan.break_even_students < 1
        else f"after {plural(math.ceil(plan.break_even_students), 'student')}"
    )
    return (
        f"the cache pays for itself {when}: all of it takes {duration(plan.whole_sec)}, and a "
        f"teacher in the loop would cost every student {duration(plan.saved_sec)} more"
    )


def _time(plan: Plan) -> str:
    if plan.num_rows_missing == 0:
        return "time: none, the cache is complete"
    stages = ", ".join(
        f"{name} {duration(plan.seconds[name])}" for name in plan.seconds if name != PROCESSOR
    )
    return (
        f"time: {duration(plan.total_sec)}; the bottleneck is {_STAGES[plan.bottleneck]} "
        f"(by themselves: {stages})"
    )


def _room(plan: Plan) -> str:
    left = plan.free_bytes - round(plan.missing_bytes)
    needed = f"room: {size(round(plan.missing_bytes))} to be written, {size(plan.free_bytes)} free"
    if left < 0:
        return f"{needed}: it does not fit, {size(-left)} are lacking"
    return f"{needed} now, {size(left)} afterwards"


def _to_json(plan: Plan) -> dict[str, object]:
    trial = plan.trial
    return {
        "arrays": [
            {
                **array_json(array.spec, array.codec_error),
                "row_bytes_uncompressed": array.raw_row_bytes,
                "row_bytes": array.row_bytes,
                "num_bytes": array.row_bytes * plan.num_rows,
                "num_rows_missing": array.num_rows_missing,
            }
            for array in plan.arrays
        ],
        "num_rows": plan.num_rows,
        "num_rows_missing": plan.num_rows_missing,
        "num_bytes": plan.total_bytes,
        "num_bytes_missing": plan.missing_bytes,
        "free_bytes": plan.free_bytes,
        "free_bytes_afterwards": plan.free_bytes - plan.missing_bytes,
        "fits": plan.missing_bytes <= plan.free_bytes,
        "seconds": plan.seconds,
        "total_sec": plan.total_sec,
        "whole_sec": plan.whole_sec,
        "bottleneck": plan.bottleneck,
        "saved_sec_per_student": plan.saved_sec,
        "break_even_students": (
            None if math.isinf(plan.break_even_students) else plan.break_even_students
        ),
        "trial": {
            "num_rows": trial.num_rows,
            "num_failed": trial.num_failed,
            "wall_sec": trial.wall_sec,
            "decode_sec": trial.decode_sec,
            "teacher_sec": plan.teacher_sec,
            "write_sec": trial.write_sec,
            "read_sec": plan.read_sec,
        },
    }
