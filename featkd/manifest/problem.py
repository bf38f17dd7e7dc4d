"""What a validation finds."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong with a manifest or its files.

    Attributes:
        severity: ``error`` makes results wrong or stops the work; ``warning`` may be meant so.
        row: position in the table, from 0; None where no single row is to blame.
        video_id: name of that row.
        field: column, or the header's field.
        value: what was found.
        expected: what was expected instead.
        message: all of it in one sentence.
    """

    severity: Literal["error", "warning"]
    row: int | None
    video_id: str | None
    field: str
    value: str
    expected: str
    message: str


def problem_at(
    row: int,
    video_id: str,
    *,
    severity: Literal["error", "warning"],
    field: str,
    value: object,
    expected: str,
) -> Problem:
    """A problem of one row, with its sentence put together."""
    message = f"row {row}, video {video_id!r}: {field} is {value!r}; expected {expected}"
    return Problem(severity, row, video_id, field, str(value), expected, message)
