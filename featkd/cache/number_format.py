"""Number formats: how the values of an array become the plain numbers that a backend holds.

==================  ==============================  =================  ==========================
format              what is stored                  decoded to         largest magnitude
==================  ==============================  =================  ==========================
``float32`` and     the numbers themselves          the same type      as the type has it
other plain types
``bfloat16``        its bits, uint16                bfloat16           3.39e38
``float8_e4m3``     its bits, uint8                 float16            448
``float8_e5m2``     its bits, uint8                 float16            57344
``scaled_uint8``    uint8 q, and float32 (offset,   float32, as        3.40e38, also for the
                    step) per row and channel       offset + q * step  range of a channel
==================  ==============================  =================  ==========================

Channels are the first axis of a row that has at least two; any other row is one channel. Float
formats take floats of any width and round to nearest, ties to even. A value beyond the largest
magnitude is nothing a cache should hold: `representable` finds it before it is encoded.
"""

import math
from collections.abc import Mapping
from typing import Final

import numpy as np
import torch
from jaxtyping import Bool, Float, Shaped, UInt8
from torch import Tensor

from featkd.cache.spec import ArraySpec, StoredArray
from featkd.errors import CacheError

_BITS: Final = {"bfloat16": "uint16", "float8_e4m3": "uint8", "float8_e5m2": "uint8"}
_E4M3_MAX: Final = torch.finfo(torch.float8_e4m3fn).max
_LAST_LEVEL: Final = 255


def num_channels(spec: ArraySpec) -> int:
    """Channels of one row: the size of its first axis where it has two or more, else 1."""
    return spec.shape[0] if len(spec.shape) > 1 else 1


def by_channel(
    spec: ArraySpec, values: Shaped[Tensor, "rows ..."]
) -> Shaped[Tensor, "rows channels size"]:
    """View the values of an array as channels.

    Args:
        spec: the array.
        values: (rows, *shape), contiguous.
    """
    channels = num_channels(spec)
    return values.view(len(values), channels, math.prod(spec.shape) // channels)


def stored_arrays(spec: ArraySpec) -> tuple[StoredArray, ...]:
    """The plain arrays that hold an array.

    The first has the array's own name and shape. ``scaled_uint8`` has a second,
    ``scales/<name>``, of shape (channels, 2): offset and step.
    """
    if spec.dtype == "scaled_uint8":
        scales_shape = (num_channels(spec), 2)
        return (
            StoredArray(spec.name, spec.shape, "uint8", spec.compression),
            StoredArray(_scales_name(spec), scales_shape, "float32", spec.compression),
        )
    dtype = _BITS.get(spec.dtype, spec.dtype)
    return (StoredArray(spec.name, spec.shape, dtype, spec.compression),)


def encode(spec: ArraySpec, values: Shaped[np.ndarray, "rows ..."]) -> dict[str, np.ndarray]:
    """Turn values into what is stored.

    A row that is not `representable` is never stored as if it were: it decodes to infinity or NaN
    where it is beyond the format, in ``scaled_uint8`` throughout the channel.

    Args:
        spec: the array.
        values: (rows, *shape), floats of any width for a float format, else of the exact type.

    Returns:
        By the names of `stored_arrays`, (rows, ...) each. Plain numbers that have the right type
        already are ``values`` itself, not a copy.

    Raises:
        CacheError: ``values`` have another shape or kind of number.
    """
    _require_fit(spec, values)
    tensor = _without_copy(values)
    if spec.dtype == "scaled_uint8":
        quantised, scales = _quantise(by_channel(spec, tensor.float()))
        return {
            spec.name: quantised.numpy().reshape(values.shape),
            _scales_name(spec): scales.numpy(),
        }
    if spec.dtype in _BITS:
        tensor = tensor.float()  # from any other type torch rounds several times slower
        if spec.dtype == "float8_e4m3":
            tensor = _with_nan_beyond(tensor, _E4M3_MAX)
        bits_dtype = getattr(torch, _BITS[spec.dtype])
        return {spec.name: tensor.to(_torch_dtype(spec)).view(bits_dtype).numpy()}
    return {spec.name: tensor.to(_torch_dtype(spec)).numpy()}


def decode(spec: ArraySpec, stored: Mapping[str, np.ndarray]) -> Shaped[Tensor, "rows ..."]:
    """Turn what is stored back into values.

    Args:
        spec: the array.
        stored: by the names of `stored_arrays`, (rows, ...) each. The buffers become the
            result's where it needs no other numbers: pass them as just read, or marked read-only,
            in which case they are copied.

    Returns:
        (rows, *shape), writable; the type is in the table above.
    """
    numbers = stored[spec.name]
    if spec.dtype == "scaled_uint8":
        offset, step = _without_copy(stored[_scales_name(spec)]).unsqueeze(-2).unbind(-1)
        levels = by_channel(spec, _without_copy(numbers).float())
        return levels.mul_(step).add_(offset).view(numbers.shape)
    if spec.dtype == "float8_e5m2":  # float16 without its last eight bits
        return torch.from_numpy(np.left_shift(numbers, 8, dtype=np.uint16)).view(torch.float16)
    if spec.dtype == "float8_e4m3":
        return _float16_of_e4m3(_without_copy(numbers))
    return _without_copy(numbers).view(_torch_dtype(spec))


def representable(
    spec: ArraySpec, values: Shaped[np.ndarray, "rows ..."]
) -> Bool[np.ndarray, " rows"]:
    """Which rows the number format can hold: every value finite and within its range.

    Args:
        spec: the array.
        values: as for `encode`.

    Raises:
        CacheError: ``values`` have another shape or kind of number.
    """
    _require_fit(spec, values)
    if values.dtype.kind != "f":
        return np.ones(len(values), dtype=np.bool_)
    tensor = _without_copy(values)
    if spec.dtype == "scaled_uint8":
        offset, step = _scales(by_channel(spec, tensor.float())).unbind(-1)
        return (offset + _LAST_LEVEL * step).isfinite().all(dim=1).numpy()
    largest = torch.finfo(_torch_dtype(spec)).max
    rows = tensor.view(len(values), math.prod(spec.shape))
    low, high = rows.amin(1).double(), rows.amax(1).double()  # NaN where a value is NaN
    return ((low >= -largest) & (high <= largest)).numpy()


def _scales_name(spec: ArraySpec) -> str:
    return f"scales/{spec.name}"


def _torch_dtype(spec: ArraySpec) -> torch.dtype:
    name = "float8_e4m3fn" if spec.dtype == "float8_e4m3" else spec.dtype
    dtype: torch.dtype = getattr(torch, name)
    return dtype


def _require_fit(spec: ArraySpec, values: np.ndarray) -> None:
    is_float = "float" in spec.dtype or spec.dtype == "scaled_uint8"
    kind_fits = values.dtype.kind == "f" if is_float else values.dtype == spec.dtype
    if values.shape[1:] != spec.shape or not kind_fits:
        raise CacheError(
            f"values for array {spec.name!r} are {values.dtype} {values.shape}; expected "
            f"{'any float type' if is_float else spec.dtype} "
            f"({', '.join(['rows', *map(str, spec.shape)])})"
        )


def _without_copy(values: np.ndarray) -> Tensor:
    """The same memory as a tensor; a copy where it is read-only or has gaps."""
    return torch.from_numpy(np.require(values, requirements=["C", "W"]))


def _scales(values: Float[Tensor, "rows channels size"]) -> Float[Tensor, "rows channels 2"]:
    """Offset and step of each row and channel; not finite where a value is not."""
    low, high = values.amin(dim=-1), values.amax(dim=-1)
    extent = high - low
    # A step below the smallest normal number would itself be rounded coarsely, or to 0.
    step = (extent / _LAST_LEVEL).clamp_(min=torch.finfo(torch.float32).tiny)
    step[extent == 0] = 1
    return torch.stack([low, step], dim=-1)


def _quantise(
    values: Float[Tensor, "rows channels size"],
) -> tuple[UInt8[Tensor, "rows channels size"], Float[Tensor, "rows channels 2"]]:
    scales = _scales(values)
    offset, step = scales.unsqueeze(-2).unbind(-1)
    levels = (values - offset).div_(step).round_()
    if not scales.isfinite().all():
        levels.nan_to_num_(0, 0, 0)  # what NaN is as an integer differs between machines
    return levels.to(torch.uint8), scales


def _with_nan_beyond(values: Float[Tensor, "..."], largest: float) -> Float[Tensor, "..."]:
    """NaN where a magnitude is beyond: torch would round it to the largest number there is."""
    if values.numel() == 0 or (values.amin() >= -largest and values.amax() <= largest):
        return values
    return values.masked_fill(values.abs() > largest, math.nan)


def _float16_of_e4m3(bits: UInt8[Tensor, "..."]) -> Float[Tensor, "..."]:
    """Widen float8_e4m3 by moving its bits: a table or torch's own conversion is far slower.

    Exponent and mantissa have their places in float16 seven bits further left, the sign eight. The
    exponents count from -7 and -15, so that the numbers, subnormal ones too, come out 2**8 too
    small.
    """
    wide = bits.view(torch.int8).to(torch.int16)  # with copies of the sign in bits 8 to 15
    values = wide.bitwise_left_shift_(7).bitwise_and_(~(1 << 14)).view(torch.float16).mul_(2**8)
    if bits.numel() and (bits.view(torch.int8).max() == 0x7F or bits.max() == 0xFF):
        values.masked_fill_(values.abs() > _E4M3_MAX, math.nan)
    return values
