"""How numbers are written in reports, with their units."""

MINUS = "\N{MINUS SIGN}"
THIN_SPACE = "\N{NARROW NO-BREAK SPACE}"


def percent(fraction: float) -> str:
    """Write 0.874 as 87.4; the column or axis says %."""
    return f"{fraction * 100:.1f}"


def points(difference: float) -> str:
    """Write a difference of fractions in percentage points, always signed."""
    rounded = round(difference * 100, 1)
    if rounded == 0:
        return "0.0"
    return f"{'+' if rounded > 0 else MINUS}{abs(rounded):.1f}"


def duration(seconds: float) -> str:
    """Write seconds for people: 8.3 s, 4 min 05 s, 2 h 10 min."""
    if seconds < 59.95:
        return f"{seconds:.1f}{THIN_SPACE}s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}{THIN_SPACE}min {rest:02d}{THIN_SPACE}s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours}{THIN_SPACE}h {minutes:02d}{THIN_SPACE}min"


def size(num_bytes: int) -> str:
    """Write a number of bytes in binary units: 512 B, 3.4 MiB."""
    if num_bytes < 1024:
        return f"{num_bytes}{THIN_SPACE}B"
    amount = num_bytes / 1024
    for unit in ("KiB", "MiB", "GiB"):
        if amount < 1024:
            return f"{amount:.1f}{THIN_SPACE}{unit}"
        amount /= 1024
    return f"{amount:.1f}{THIN_SPACE}TiB"


def millions(count: int) -> str:
    """Write 12345678 as 12.35; the column says millions."""
    return f"{count / 1e6:.2f}"


def significant(value: float) -> str:
    """Write a number with three significant digits and no exponent where that stays short."""
    return f"{value:.3g}" if value < 1000 else f"{value:.0f}"
