"""What number formats do to values, as columns that several tables share."""

from featkd.cache import INTEGER_DTYPES, ArraySpec, CodecError
from featkd.cli.figures import UNKNOWN
from featkd.evaluation import number_text

CODEC_COLUMNS = ("relative L2", "cosine", "worst channel", "non-zeros lost %")
"""Headings: error by norm, angle, error of the worst channel, share of values that became zero."""

_EXACT = ("exact", "", "", "")
_NOT_MEASURED = (UNKNOWN,) * len(CODEC_COLUMNS)


def codec_cells(error: CodecError | None) -> tuple[str, ...]:
    """One cell for each of `CODEC_COLUMNS`."""
    if error is None:
        return _NOT_MEASURED
    if is_exact(error):
        return _EXACT
    return (
        number_text.significant(error.relative_l2),
        f"{error.cosine:.6f}",
        number_text.significant(error.worst_channel_relative_l2),
        number_text.significant(error.nonzeros_lost * 100),
    )


def is_exact(error: CodecError) -> bool:
    """Whether every value that was measured came back as it was."""
    return error.sum_error_squares == 0


def array_json(spec: ArraySpec, error: CodecError | None) -> dict[str, object]:
    """What an array is, for JSON; the error of integers is left out."""
    measured = error is not None and spec.dtype not in INTEGER_DTYPES
    return {
        "name": spec.name,
        "shape": list(spec.shape),
        "dtype": spec.dtype,
        "compression": spec.compression,
        "codec_error": error.figures() if error is not None and measured else None,
    }


def shape_text(spec: ArraySpec) -> str:
    """1024 x 2 x 7 x 7; 1 for a scalar."""
    return " x ".join(map(str, spec.shape)) or "1"
