import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from featkd.cache.codec_error import CodecError, measure_codec_error, merge
from featkd.cache.number_format import decode, encode
from featkd.cache.spec import ArraySpec

LOSSY = ["float16", "bfloat16", "float8_e4m3", "float8_e5m2", "scaled_uint8"]
SHAPES = [(), (5,), (3, 4), (3, 2, 2, 3)]


def spec_of(dtype, shape):
    return ArraySpec(name="features/a.full", shape=shape, dtype=dtype)


def sparse_rows(seed, num_rows, shape):
    """Half zeros, the rest over many orders of magnitude, some so small that float8 drops them."""
    generator = np.random.default_rng(seed)
    magnitudes = np.exp(generator.normal(-2, 3, (num_rows, *shape))).clip(max=400)
    return (magnitudes * generator.integers(0, 2, magnitudes.shape)).astype(np.float32)


def error_by_loop(spec, values):
    """Relative L2, cosine, worst channel and share of lost non-zeros from the definitions."""
    decoded = decode(spec, encode(spec, values)).double().numpy()
    channels = spec.shape[0] if len(spec.shape) > 1 else 1
    errors, squares = [0.0] * channels, [0.0] * channels
    product = decoded_squares = 0.0
    nonzeros = lost = 0
    for row, row_decoded in zip(values, decoded, strict=True):
        x_channels = row.reshape(channels, -1).tolist()
        decoded_channels = row_decoded.reshape(channels, -1).tolist()
        for channel in range(channels):
            for x, back in zip(x_channels[channel], decoded_channels[channel], strict=True):
                errors[channel] += (x - back) ** 2
                squares[channel] += x**2
                product += x * back
                decoded_squares += back**2
                nonzeros += x != 0
                lost += x != 0 and back == 0
    relative = math.sqrt(sum(errors) / sum(squares)) if sum(squares) else 0.0
    norms = math.sqrt(sum(squares) * decoded_squares)
    cosine = product / norms if norms else float(sum(squares) == 0)
    worst = max(math.sqrt(e / s) if s else 0.0 for e, s in zip(errors, squares, strict=True))
    return relative, cosine, worst, lost / nonzeros if nonzeros else 0.0


@pytest.mark.parametrize("dtype", LOSSY)
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), shape=st.sampled_from(SHAPES), num_rows=st.integers(1, 5))
def test_measure_codec_error__compare_with_loop(dtype, seed, shape, num_rows):
    spec, values = spec_of(dtype, shape), sparse_rows(seed, num_rows, shape)
    error = measure_codec_error(spec, values)
    measured = (
        error.relative_l2,
        error.cosine,
        error.worst_channel_relative_l2,
        error.nonzeros_lost,
    )
    assert measured == pytest.approx(error_by_loop(spec, values), rel=1e-9, abs=1e-15)
    assert error.num_values == values.size


def test_measure_codec_error__by_hand():
    # 300 lies between 288 and 320, 2**-11 below half the smallest float8_e4m3 number, 2**-9.
    values = np.array([[[300, 0], [2.0**-11, 8]]], np.float32)
    error = measure_codec_error(spec_of("float8_e4m3", (2, 2)), values)
    assert error.nonzeros_lost == pytest.approx(1 / 3)
    assert error.worst_channel_relative_l2 == pytest.approx(12 / 300)
    assert error.relative_l2 == pytest.approx(12 / math.hypot(300, 8), rel=1e-6)
    assert error.cosine == pytest.approx(
        (300 * 288 + 64) / math.hypot(300, 8) / math.hypot(288, 8), rel=1e-9
    )


@pytest.mark.parametrize("dtype", LOSSY)
@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    shape=st.sampled_from(SHAPES),
    cuts=st.lists(st.integers(0, 6), max_size=3),
)
def test_merge__parts_are_as_good_as_the_whole(dtype, seed, shape, cuts):
    spec, values = spec_of(dtype, shape), sparse_rows(seed, 6, shape)
    values[2] = 0
    measured = [measure_codec_error(spec, part) for part in np.split(values, sorted(cuts))]
    whole, merged = measure_codec_error(spec, values), merge(measured)
    for name in ("relative_l2", "cosine", "nonzeros_lost", "num_values"):
        assert getattr(merged, name) == pytest.approx(getattr(whole, name), rel=1e-9, abs=1e-12)
    assert merged.worst_channel_relative_l2 == max(e.worst_channel_relative_l2 for e in measured)
    assert merged.worst_channel_relative_l2 >= whole.worst_channel_relative_l2 * (1 - 1e-9)


def test_merge__weighs_parts_by_their_size():
    spec = spec_of("float8_e5m2", (2,))
    exact = np.full((9, 2), 4, np.float32)
    rounded = np.full((1, 2), 4.5, np.float32)  # to 4
    merged = merge(measure_codec_error(spec, part) for part in (exact, rounded))
    assert merged.relative_l2 == pytest.approx(math.sqrt(0.25 / (9 * 16 + 4.5**2)))


def no_error(error):
    return (
        error.relative_l2 == 0
        and error.cosine == pytest.approx(1, abs=1e-12)
        and error.worst_channel_relative_l2 == 0
        and error.nonzeros_lost == 0
    )


@pytest.mark.parametrize("dtype", ["float32", "float64", *LOSSY])
@pytest.mark.parametrize("num_rows", [0, 3])
def test_measure_codec_error__nothing_but_zeros(dtype, num_rows):
    error = measure_codec_error(spec_of(dtype, (2, 3)), np.zeros((num_rows, 2, 3), np.float32))
    assert no_error(error)
    assert error.num_values == num_rows * 6


@pytest.mark.parametrize(
    ("dtype", "values"),
    [
        ("float16", np.linspace(-7, 7, 12, dtype=np.float16)),
        ("float32", np.linspace(-7, 7, 12, dtype=np.float16)),
        ("float32", np.linspace(-1e38, 1e38, 12, dtype=np.float32)),
        ("float64", np.linspace(-1e300, 1e300, 12)),
        ("int64", np.arange(12)),
        ("uint8", np.arange(12, dtype=np.uint8)),
    ],
)
def test_measure_codec_error__lossless(dtype, values):
    error = measure_codec_error(spec_of(dtype, (2, 3)), values.reshape(2, 2, 3))
    assert no_error(error)
    assert error.num_values == 12


def test_measure_codec_error__everything_lost():
    error = measure_codec_error(spec_of("float8_e4m3", (4,)), np.full((2, 4), 1e-6, np.float32))
    assert (error.relative_l2, error.cosine, error.nonzeros_lost) == (1, 0, 1)


@pytest.mark.parametrize("writeable", [True, False])
def test_measure_codec_error__leaves_the_values_alone(writeable):
    values = sparse_rows(0, 4, (3, 4, 2)).transpose(0, 2, 1, 3)
    values.flags.writeable = writeable
    before = values.copy()
    error = measure_codec_error(spec_of("float32", (4, 3, 2)), values)
    assert no_error(error)
    np.testing.assert_array_equal(values, before)


def test_merge__of_nothing():
    assert merge([]) == CodecError()
    assert no_error(merge([]))


def test_codec_error__survives_json():
    error = measure_codec_error(spec_of("scaled_uint8", (3, 4)), sparse_rows(1, 4, (3, 4)))
    assert error.relative_l2 > 0
    text = json.dumps(error.model_dump(), allow_nan=False)
    assert CodecError.model_validate(json.loads(text)) == error
