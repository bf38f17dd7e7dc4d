import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from featkd.cache.number_format import decode, encode, representable, stored_arrays
from featkd.cache.spec import ArraySpec
from featkd.errors import CacheError

SHAPES = [(), (5,), (3, 4), (3, 2, 2, 3)]

# Format: largest magnitude, smallest normal number, bits of the mantissa, type of what is decoded.
ROUNDED = {
    "float32": (3.4028234663852886e38, 2.0**-126, 23, torch.float32),
    "float16": (65504.0, 2.0**-14, 10, torch.float16),
    "bfloat16": (3.3895313892515355e38, 2.0**-126, 7, torch.bfloat16),
    "float8_e4m3": (448.0, 2.0**-6, 3, torch.float16),
    "float8_e5m2": (57344.0, 2.0**-14, 2, torch.float16),
}
INTEGERS = ["uint8", "uint32", "int32", "int64"]


def spec_of(dtype, shape=()):
    return ArraySpec(name="features/a.full", shape=shape, dtype=dtype)


def round_trip(spec, values):
    return decode(spec, encode(spec, values))


@st.composite
def rows_of(draw, low, high):
    """Rows of any shape and width; numbers that a width does not reach become its last."""
    dtype = draw(st.sampled_from([np.float16, np.float32, np.float64]))
    shape = (draw(st.integers(1, 3)), *draw(st.sampled_from(SHAPES)))
    elements = st.floats(low, high) | st.floats(max(low, -9.0), min(high, 9.0))
    bound = float(np.finfo(dtype).max)
    return draw(hnp.arrays(np.float64, shape, elements=elements)).clip(-bound, bound).astype(dtype)


@pytest.mark.parametrize(
    ("dtype", "shape", "expected"),
    [
        ("float16", (3, 2), [("features/a.full", (3, 2), "float16")]),
        ("int64", (), [("features/a.full", (), "int64")]),
        ("bfloat16", (3,), [("features/a.full", (3,), "uint16")]),
        ("float8_e4m3", (3,), [("features/a.full", (3,), "uint8")]),
        ("float8_e5m2", (3,), [("features/a.full", (3,), "uint8")]),
        *(
            (
                "scaled_uint8",
                shape,
                [
                    ("features/a.full", shape, "uint8"),
                    ("scales/features/a.full", (channels, 2), "float32"),
                ],
            )
            for shape, channels in [((), 1), ((5,), 1), ((3, 4), 3), ((3, 2, 2, 3), 3)]
        ),
    ],
)
def test_stored_arrays__are_what_encode_gives(dtype, shape, expected):
    spec = ArraySpec(name="features/a.full", shape=shape, dtype=dtype, compression="lz4")
    described = stored_arrays(spec)
    assert [(array.name, array.shape, array.dtype) for array in described] == expected
    assert {array.compression for array in described} == {"lz4"}
    values = np.ones((2, *shape), "int64" if dtype == "int64" else "float32")
    encoded = encode(spec, values)
    assert encoded.keys() == {array.name for array in described}
    for array in described:
        assert encoded[array.name].shape == (2, *array.shape)
        assert encoded[array.name].dtype == array.dtype


@pytest.mark.parametrize("dtype", ROUNDED)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_round_trip__is_within_half_a_unit_of_the_last_bit(dtype, data):
    largest, smallest_normal, mantissa_bits, decoded_dtype = ROUNDED[dtype]
    values = data.draw(rows_of(-largest, largest))
    spec = spec_of(dtype, values.shape[1:])
    assert representable(spec, values).all()
    decoded = round_trip(spec, values)
    assert decoded.dtype == decoded_dtype
    assert decoded.shape == values.shape
    for x, back in zip(values.ravel().tolist(), decoded.double().ravel().tolist(), strict=True):
        exponent = np.floor(np.log2(max(abs(x), smallest_normal)))
        half_unit = 2.0 ** (exponent - mantissa_bits - 1)
        # Wider floats go to float32 first, which is a rounding of its own.
        assert abs(back - x) <= half_unit * (1 + 2.0**-12)
        assert (back == 0) or (np.sign(back) == np.sign(x))


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_round_trip__same_type_keeps_every_bit(dtype):
    values = np.array([0.0, -0.0, np.pi, np.inf, np.nan, 5e-8], dtype)
    decoded = round_trip(spec_of(dtype), values).numpy()
    assert decoded.tobytes() == values.tobytes()


@pytest.mark.parametrize("dtype", INTEGERS)
@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_round_trip__integers_are_exact(dtype, data):
    shape = data.draw(st.sampled_from(SHAPES))
    values = data.draw(hnp.arrays(dtype, (2, *shape)))
    decoded = round_trip(spec_of(dtype, shape), values)
    assert decoded.dtype == getattr(torch, dtype)
    assert decoded.numpy().tobytes() == values.tobytes()


def float8_value(bits, exponent_bits, mantissa_bits):
    """The value of a float8 from the definition of the format."""
    sign = -1.0 if bits & 0x80 else 1.0
    exponent = bits >> mantissa_bits & (1 << exponent_bits) - 1
    mantissa = (bits & (1 << mantissa_bits) - 1) / (1 << mantissa_bits)
    bias = (1 << exponent_bits - 1) - 1
    if exponent == 0:
        return sign * mantissa * 2.0 ** (1 - bias)
    if exponent_bits == 5 and exponent == 31:
        return sign * np.inf if mantissa == 0 else np.nan
    if exponent_bits == 4 and bits & 0x7F == 0x7F:
        return np.nan
    return sign * (1 + mantissa) * 2.0 ** (exponent - bias)


@pytest.mark.parametrize(
    ("dtype", "exponent_bits", "mantissa_bits"), [("float8_e4m3", 4, 3), ("float8_e5m2", 5, 2)]
)
def test_decode__float8_from_every_bit_pattern(dtype, exponent_bits, mantissa_bits):
    spec = spec_of(dtype)
    bits = np.arange(256, dtype=np.uint8)
    expected = np.array([float8_value(int(b), exponent_bits, mantissa_bits) for b in bits])
    decoded = decode(spec, {spec.name: bits.copy()}).double().numpy()
    np.testing.assert_array_equal(decoded, expected)
    np.testing.assert_array_equal(np.signbit(decoded)[decoded == 0], [False, True])
    finite = np.isfinite(expected)
    again = encode(spec, expected[finite].astype(np.float32))[spec.name]
    np.testing.assert_array_equal(again, bits[finite])


@pytest.mark.parametrize("bits", [0x7F, 0xFF])
def test_decode__float8_e4m3_nan_of_either_sign(bits):
    spec = spec_of("float8_e4m3")
    decoded = decode(spec, {spec.name: np.array([0x30, bits], np.uint8)})
    assert decoded.isnan().tolist() == [False, True]


def quantise_row_by_loop(row):
    """The levels, offsets and steps of one row, channels first, from the definition."""
    channels = row if row.ndim > 1 else row.reshape(1, -1)
    decoded = np.empty(channels.shape, np.float64)
    steps = np.empty(len(channels))
    for index, channel in enumerate(channels):
        low, high = float(channel.min()), float(channel.max())
        steps[index] = (high - low) / 255 if high > low else 1.0
        for place in np.ndindex(channel.shape):
            level = round((float(channel[place]) - low) / steps[index])
            assert 0 <= level <= 255
            decoded[(index, *place)] = low + level * steps[index]
    return decoded.reshape(row.shape), steps


@settings(max_examples=100, deadline=None)
@given(values=rows_of(-1e30, 1e30))
@example(values=np.array([[[1.0, 1.0 + 2.0**-23]], [[-(2.0**-149), 2.0**-149]]], np.float32))
@example(values=np.array([[[0.0, 400 * 2.0**-149]], [[0.0, 255 * 2.0**-126]]], np.float32))
def test_scaled_uint8__is_within_half_a_step(values):
    spec = spec_of("scaled_uint8", values.shape[1:])
    assert representable(spec, values).all()
    encoded = encode(spec, values)
    decoded = decode(spec, {name: stored.copy() for name, stored in encoded.items()})
    assert decoded.dtype == torch.float32
    assert decoded.shape == values.shape
    for row, back, scales in zip(
        values, decoded.double().numpy(), encoded["scales/features/a.full"], strict=True
    ):
        by_loop, steps = quantise_row_by_loop(row.astype(np.float32))
        # float32 rounds the difference, the quotient, the product and the sum.
        rounding = 2.0**-20 * np.abs(row.astype(np.float64)).max() + 2.0**-126
        step_shape = (-1, *[1] * (row.ndim - 1)) if row.ndim > 1 else (1,) * row.ndim
        half_steps = (steps / 2).reshape(step_shape)
        assert (np.abs(back - row) <= half_steps + rounding).all()
        # Values near the middle of two levels may go either way: at most one step apart.
        assert (np.abs(back - by_loop) <= 2 * half_steps + rounding).all()
        np.testing.assert_allclose(scales[:, 1], np.maximum(steps, 2.0**-126), rtol=1e-6)


def test_scaled_uint8__levels_of_a_row():
    values = np.array([[[0, 51, 255], [-1, -1, -1], [10, 10.4, 265]]], np.float32)
    encoded = encode(spec_of("scaled_uint8", (3, 3)), values)
    assert encoded["features/a.full"].tolist() == [[[0, 51, 255], [0, 0, 0], [0, 0, 255]]]
    assert encoded["scales/features/a.full"].tolist() == [[[0, 1], [-1, 1], [10, 1]]]


@settings(max_examples=60, deadline=None)
@given(values=rows_of(0.0, 1e30))
def test_scaled_uint8__keeps_zeros_and_the_least_of_a_channel(values):
    spec = spec_of("scaled_uint8", values.shape[1:])
    values.reshape(len(values), -1)[:, 0] = 0
    decoded = round_trip(spec, values).numpy()
    assert not decoded[values == 0].any()
    channels = values.shape[1] if values.ndim > 2 else 1
    by_channel = values.reshape(len(values), channels, -1)
    least = by_channel.min(-1, keepdims=True)
    is_least = by_channel == least
    expected = np.broadcast_to(least.astype(np.float32), by_channel.shape)[is_least]
    np.testing.assert_array_equal(decoded.reshape(by_channel.shape)[is_least], expected)


BEYOND = {
    "float32": 3.5e38,
    "float16": 65600.0,
    "bfloat16": 3.4e38,
    "float8_e4m3": 449.0,
    "float8_e5m2": 61440.0,
    "scaled_uint8": 3.5e38,
}


@pytest.mark.parametrize("dtype", BEYOND)
def test_representable__refuses_what_the_format_cannot_hold(dtype):
    values = np.ones((9, 2, 3))
    beyond = [np.nan, np.inf, -np.inf, BEYOND[dtype], -BEYOND[dtype]]
    values[2 : 2 + len(beyond), 1, 2] = beyond
    if dtype in ROUNDED:
        values[7] = ROUNDED[dtype][0]
        values[8] = -ROUNDED[dtype][0]
    spec = spec_of(dtype, (2, 3))
    expected = [True, True, *[False] * len(beyond), True, True]
    assert representable(spec, values).tolist() == expected


@pytest.mark.parametrize("dtype", [*BEYOND, "float64"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("width", [np.float16, np.float32, np.float64])
def test_encode__what_is_beyond_does_not_come_back_finite(dtype, value, width):
    spec = spec_of(dtype, (2, 3))
    values = np.ones((3, 2, 3), width)
    values[1, 1, 0] = value
    assert representable(spec, values).tolist() == [True, False, True]
    decoded = round_trip(spec, values)
    assert not decoded[1, 1, 0].isfinite()
    assert decoded[1, 0].tolist() == [1, 1, 1]
    assert decoded[[0, 2]].eq(1).all()


@pytest.mark.parametrize("dtype", BEYOND)
def test_encode__too_large_is_not_saturated(dtype):
    spec = spec_of(dtype, (2,))
    values = np.array([[1.0, BEYOND[dtype]], [1.0, -BEYOND[dtype]], [1.0, 2.0]])
    finite = round_trip(spec, values).isfinite()
    assert finite[:, 1].tolist() == [False, False, True]


def test_encode__missing_rows_are_stored_alike_everywhere():
    encoded = encode(spec_of("scaled_uint8", (2, 40)), np.full((2, 2, 40), np.nan, np.float16))
    assert not encoded["features/a.full"].any()
    assert np.isnan(encoded["scales/features/a.full"]).all()


def test_representable__scaled_uint8_needs_the_range_of_a_channel():
    values = np.zeros((3, 2, 2), np.float32)
    values[0] = [[-3e38, -3e38], [3e38, 3e38]]
    values[1] = [[0, 0], [-3e38, 3e38]]
    assert representable(spec_of("scaled_uint8", (2, 2)), values).tolist() == [True, False, True]


@settings(max_examples=60, deadline=None)
@given(data=st.data(), dtype=st.sampled_from(sorted(BEYOND)))
def test_representable__rows_come_back_finite(data, dtype):
    shape = data.draw(st.sampled_from(SHAPES))
    width = data.draw(st.sampled_from([np.float16, np.float32, np.float64]))
    values = data.draw(hnp.arrays(width, (3, *shape)))
    spec = spec_of(dtype, shape)
    fine = representable(spec, values)
    finite = round_trip(spec, values).isfinite().reshape(3, -1).all(1).numpy()
    assert (finite | ~fine).all()
    if dtype == "scaled_uint8":
        assert (finite == fine).all()


@pytest.mark.parametrize("dtype", INTEGERS)
def test_representable__integers_always_are(dtype):
    values = np.array([0, np.iinfo(dtype).max, np.iinfo(dtype).min], dtype)
    assert representable(spec_of(dtype), values).tolist() == [True] * 3


@pytest.mark.parametrize("dtype", [*BEYOND, "float64", *INTEGERS])
@pytest.mark.parametrize("shape", SHAPES)
def test_round_trip__no_rows(dtype, shape):
    spec = spec_of(dtype, shape)
    values = np.zeros((0, *shape), dtype if dtype in INTEGERS else "float32")
    assert representable(spec, values).shape == (0,)
    assert round_trip(spec, values).shape == (0, *shape)


@pytest.mark.parametrize("dtype", [*BEYOND, "float64", *INTEGERS])
def test_decode__leaves_read_only_arrays_and_gives_writable_ones(dtype):
    spec = spec_of(dtype, (2, 2))
    values = np.array([[[1, 2], [3, 4]]], dtype if dtype in INTEGERS else "float32")
    stored = {name: array.copy() for name, array in encode(spec, values).items()}
    before = {name: array.tobytes() for name, array in stored.items()}
    for array in stored.values():
        array.flags.writeable = False
    decode(spec, stored).fill_(9)
    assert {name: array.tobytes() for name, array in stored.items()} == before


@pytest.mark.parametrize("dtype", [*BEYOND, "float64"])
@pytest.mark.parametrize("width", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("axes", [(0, 1, 2), (0, 2, 1)], ids=["contiguous", "turned"])
@pytest.mark.parametrize("writeable", [True, False])
def test_encode__leaves_the_values_alone(dtype, width, axes, writeable):
    values = np.linspace(-3, 3, 24, dtype=width).reshape(2, 4, 3).transpose(axes)
    values.flags.writeable = writeable
    before = values.copy()
    spec = spec_of(dtype, values.shape[1:])
    assert representable(spec, values).all()
    decoded = round_trip(spec, values)
    np.testing.assert_array_equal(values, before)
    np.testing.assert_allclose(decoded.double().numpy(), values, rtol=0.126, atol=3 / 255)


@pytest.mark.parametrize(
    ("dtype", "values", "message"),
    [
        ("float16", np.ones((2, 3), np.int32), "int32 .*; expected any float type"),
        ("scaled_uint8", np.ones((2, 3), np.uint8), "uint8 .*; expected any float type"),
        ("int32", np.ones((2, 3), np.int64), "int64 .*; expected int32"),
        ("uint8", np.ones((2, 3), np.float32), "float32 .*; expected uint8"),
        ("float32", np.ones((2, 4), np.float32), r"\(2, 4\); expected .* \(rows, 3\)"),
    ],
)
@pytest.mark.parametrize("function", [encode, representable])
def test_encode__refuses_other_values(function, dtype, values, message):
    with pytest.raises(CacheError, match=f"'features/a.full' .*{message}"):
        function(spec_of(dtype, (3,)), values)
