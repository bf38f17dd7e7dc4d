"""A part on its way into a cache: checked against its layer, failed rows blanked."""

from collections.abc import Mapping

import numpy as np

from featkd.cache.codec_error import CodecError, measure_codec_error
from featkd.cache.number_format import representable
from featkd.cache.spec import INTEGER_DTYPES, ArraySpec, LayerSpec
from featkd.errors import CacheError

_ROWS_MEASURED = 2


def check_part(
    layer: str,
    spec: LayerSpec,
    rows: range,
    arrays: Mapping[str, np.ndarray],
    failures: Mapping[int, str],
) -> None:
    """Check that arrays and failures are those of a part of a layer.

    Args:
        layer: name of the layer, for messages.
        spec: its arrays.
        rows: rows of the part.
        arrays: one for each array of the layer, of shape (len(rows), ...).
        failures: reason by row of the cache.

    Raises:
        CacheError: an array is missing, too many, or of another shape or dtype, or a failed row
            lies in another part.
    """
    names = {array.name for array in spec.arrays}
    if arrays.keys() != names:
        raise CacheError(
            f"layer {layer!r} consists of {', '.join(sorted(names))}; "
            f"got {', '.join(sorted(arrays)) or 'nothing'}"
        )
    for array in spec.arrays:
        value = arrays[array.name]
        expected = (len(rows), *array.shape)
        if value.shape != expected or not _may_hold(array, value.dtype):
            raise CacheError(
                f"array {array.name!r} of rows {rows.start} to {rows.stop - 1} is "
                f"{value.dtype} {value.shape}; expected {array.dtype} {expected}"
            )
    for row in failures:
        if row not in rows:
            raise CacheError(
                f"row {row} is reported as failed in a part of layer {layer!r} "
                f"that holds rows {rows.start} to {rows.stop - 1}"
            )


def _may_hold(array: ArraySpec, dtype: np.dtype) -> bool:
    """Whether an array takes such numbers: integers as they are, floats of any width."""
    if array.dtype in INTEGER_DTYPES:
        return dtype == np.dtype(array.dtype)
    return dtype.kind == "f"


def check_representable(
    spec: LayerSpec,
    rows: range,
    arrays: Mapping[str, np.ndarray],
    failures: Mapping[int, str],
) -> None:
    """Check that every row that has data is finite in its array's number format.

    Raises:
        CacheError: one is not; names it.
    """
    for array in spec.arrays:
        if array.dtype in INTEGER_DTYPES:
            continue
        for position in np.flatnonzero(~representable(array, arrays[array.name])):
            row = rows[int(position)]
            if row not in failures:
                raise CacheError(
                    f"row {row} of array {array.name!r} is NaN, infinite or beyond the range of "
                    f"{array.dtype}; expected finite numbers"
                )


def measure_part(
    spec: LayerSpec,
    rows: range,
    arrays: Mapping[str, np.ndarray],
    failures: Mapping[int, str],
) -> dict[str, CodecError]:
    """The error of each array's number format, from the first rows of the part that have data."""
    ok = [row - rows.start for row in rows if row not in failures][:_ROWS_MEASURED]
    return {
        array.name: measure_codec_error(array, arrays[array.name][ok])
        for array in spec.arrays
        if array.dtype not in INTEGER_DTYPES
    }


def blank_failed_rows(
    arrays: Mapping[str, np.ndarray], rows: range, failures: Mapping[int, str]
) -> dict[str, np.ndarray]:
    """Blank the rows without data, so that nobody's leftovers are stored as if they were data."""
    if not failures:
        return dict(arrays)
    failed = [row - rows.start for row in failures]
    blanked = {}
    for name, values in arrays.items():
        blanked[name] = values.copy()
        blanked[name][failed] = fill_value(values.dtype)
    return blanked


def fill_value(dtype: np.dtype) -> float:
    """What stands where nothing was written: NaN, so that it shows, or 0 where there is no NaN."""
    return float("nan") if np.issubdtype(dtype, np.floating) else 0.0
