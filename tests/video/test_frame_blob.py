"""Rendered views as JPEG images in one block: near to the pixels, and damage is told."""

import io
import struct

import numpy as np
import pytest
import torch
from PIL import Image

from featkd.errors import UsageError
from featkd.types import Clip
from featkd.video import (
    EvaluationViews,
    decode_frames,
    encode_frames,
    frame_blob_capacity_bytes,
    probe,
    render_clip,
)

SHAPE = (3, 4, 40, 40)
CAPACITY_BYTES = 8000


def smooth_view(shape=SHAPE):
    """Colours that differ between channels, frames, rows and columns."""
    axes = (
        torch.arange(length).reshape([-1 if a == i else 1 for a in range(4)])
        for i, length in enumerate(shape)
    )
    channel, frame, row, column = axes
    return (50 * channel + 10 * frame + 2 * row + column).to(torch.uint8)


def noise_view(shape=SHAPE):
    return torch.from_numpy(np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8))


def encoded(pixels=None, quality=95):
    return encode_frames(
        smooth_view() if pixels is None else pixels, quality=quality, capacity_bytes=CAPACITY_BYTES
    )


def peak_signal_to_noise_db(one, other):
    error = (one.double() - other.double()).square().mean().item()
    return 10 * np.log10(255**2 / error)


def test_decode_frames__gives_nearly_the_pixels_back():
    pixels = smooth_view()
    decoded = decode_frames(torch.from_numpy(encoded()), SHAPE)
    assert decoded.dtype == torch.uint8
    assert decoded.is_contiguous()
    assert (decoded.int() - pixels.int()).abs().max() <= 6
    coarse = decode_frames(torch.from_numpy(encoded(quality=10)), SHAPE)
    assert peak_signal_to_noise_db(coarse, pixels) < peak_signal_to_noise_db(decoded, pixels) - 5


def test_encode_frames__block_is_lengths_then_images_then_zeros():
    """A reader of the block needs nothing but this layout."""
    blob = encoded()
    assert blob.shape == (CAPACITY_BYTES,)
    lengths = struct.unpack_from("<4I", blob)
    decoded = decode_frames(torch.from_numpy(blob), SHAPE)
    start = 16
    for position, num_bytes in enumerate(lengths):
        image = Image.open(io.BytesIO(blob[start : start + num_bytes].tobytes()))
        assert image.format == "JPEG"
        # One sampling factor for all channels: full chroma.
        assert {(h, v) for _, h, v, _ in image.layer} == {(1, 1)}
        np.testing.assert_array_equal(
            np.asarray(image), decoded[:, position].permute(1, 2, 0).numpy()
        )
        start += num_bytes
    assert not blob[start:].any()


def test_encode_frames__what_does_not_fit_is_refused():
    size = int(struct.unpack_from("<4I", encoded())[0]) * 4
    with pytest.raises(UsageError, match=rf"4 frames as JPEG of quality 95 .* at most {size - 99}"):
        encode_frames(smooth_view(), quality=95, capacity_bytes=size - 99)


@pytest.mark.parametrize("size", [1, 8, 17, 64])
def test_frame_blob_capacity_bytes__holds_noise(size):
    shape = (3, 3, size, size)
    capacity_bytes = frame_blob_capacity_bytes(shape)
    for pixels in (noise_view(shape), (noise_view(shape) > 127).to(torch.uint8) * 255):
        blob = encode_frames(pixels, quality=95, capacity_bytes=capacity_bytes)
        assert decode_frames(torch.from_numpy(blob), shape).shape == shape


def damaged(change):
    blob = encoded()
    lengths = list(struct.unpack_from("<4I", blob))
    return change(blob, lengths)


def with_length(blob, position, num_bytes):
    blob[4 * position : 4 * position + 4] = np.frombuffer(struct.pack("<I", num_bytes), np.uint8)
    return blob


def with_header_size(blob, height, width):
    """Change what the first image says of its size."""
    content = bytearray(blob.tobytes())
    at = content.index(b"\xff\xc0") + 5
    content[at : at + 4] = struct.pack(">2H", height, width)
    return np.frombuffer(bytes(content), np.uint8)


def without_scan(blob, num_bytes):
    """Keep tables and end of the first image, and blank what they describe."""
    blob[16 + 200 : 16 + num_bytes - 2] = 0
    return blob


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(lambda blob, _: blob[:12], "cannot hold the lengths of 4", id="no-lengths"),
        pytest.param(lambda blob, lengths: blob[: 16 + sum(lengths[:2])], "image 2", id="cut"),
        pytest.param(lambda blob, _: np.zeros_like(blob), "image 0 .* 0 bytes", id="zeros"),
        pytest.param(lambda b, n: with_length(b, 1, n[1] + 1), "image 1", id="length-up"),
        pytest.param(lambda b, n: with_length(b, 0, n[0] - 1), "image 0", id="length-down"),
        pytest.param(lambda b, _: with_length(b, 3, 2**32 - 1), "image 3", id="length-huge"),
        pytest.param(lambda b, _: with_header_size(b, 48, 40), "40x48 pixels", id="size"),
        pytest.param(lambda b, _: with_header_size(b, 65000, 65000), "image 0", id="bomb"),
        pytest.param(
            lambda b, n: without_scan(b, n[0]), "image 0 does not decode as JPEG", id="scan"
        ),
    ],
)
def test_decode_frames__damage_is_told(change, message):
    with pytest.raises(ValueError, match=message):
        decode_frames(torch.from_numpy(damaged(change).copy()), SHAPE)


@pytest.mark.parametrize("shape", [(3, 4, 32, 32), (3, 5, 40, 40)])
def test_decode_frames__another_shape_is_told(shape):
    with pytest.raises(ValueError, match="image"):
        decode_frames(torch.from_numpy(encoded()), shape)


def test_decode_frames__real_frames_keep_their_look(real_video):
    path = real_video("R6llTwEh07w.mp4")
    info = probe(path)
    clip = Clip("v", path, 0, info.num_frames, info.width, info.height, 30.0)
    view = EvaluationViews(num_frames=8).draw(seed=0, clip=clip, view_index=0)
    [pixels] = render_clip(clip, view, [112]).pixels
    blob = encode_frames(pixels, quality=95, capacity_bytes=pixels.nbytes // 2)
    decoded = decode_frames(torch.from_numpy(blob), (3, 8, 112, 112))
    assert peak_signal_to_noise_db(decoded, pixels) > 35
