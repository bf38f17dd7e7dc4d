"""Figures as a terminal shows them: the report's own way of writing, in plain spaces and signs."""

from featkd.evaluation import number_text
from featkd.evaluation.number_text import MINUS, THIN_SPACE

UNKNOWN = "-"


def duration(seconds: float) -> str:
    """8.3 s, 4 min 05 s, 2 h 10 min."""
    return _plain(number_text.duration(seconds))


def size(num_bytes: int) -> str:
    """512 B, 3.4 MiB."""
    return _plain(number_text.size(num_bytes))


def percent(fraction: float | None) -> str:
    """0.874 as 87.4; the heading says %."""
    return UNKNOWN if fraction is None else number_text.percent(fraction)


def points(difference: float | None) -> str:
    """A difference of fractions in percentage points, with its sign."""
    return UNKNOWN if difference is None else _plain(number_text.points(difference))


def millions(count: int | None) -> str:
    """12345678 as 12.35; the heading says millions."""
    return UNKNOWN if count is None else number_text.millions(count)


def gmac(amount: float | None) -> str:
    """Giga multiply-accumulates: two decimals where there are many, three digits where few."""
    if amount is None:
        return UNKNOWN
    return f"{amount:.2f}" if amount >= 1 else number_text.significant(amount)


def rate(per_second: float, unit: str) -> str:
    """12.3 views/s."""
    return f"{number_text.significant(per_second)} {unit.removesuffix('s')}s/s"


def plural(count: int, unit: str) -> str:
    """1 view, 2 views."""
    return f"{count} {unit.removesuffix('s')}{'' if count == 1 else 's'}"


def _plain(text: str) -> str:
    return text.replace(THIN_SPACE, " ").replace(MINUS, "-")
