"""Rendering: region, size, flip, and a checksum that proves it."""

import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch

from featkd.types import View
from featkd.video import EvaluationViews, crc32_of, read_frames, render, render_clip

RECORDED_CRC32 = 728354234


def view_of(crop_box=(0.0, 0.0, 1.0, 1.0), *, flip=False, frame_indices=(0, 1)):
    return View("v", 0, frame_indices, crop_box, flip)


def random_frames(height, width):
    return np.random.default_rng(0).integers(0, 256, (2, height, width, 3), dtype=np.uint8)


def test_render__copies_a_region_of_equal_size():
    frames = random_frames(20, 40)
    rendered = render(frames, view_of((0.25, 0.0, 0.75, 1.0)), 20)
    assert rendered.dtype == torch.uint8
    assert rendered.is_contiguous()
    np.testing.assert_array_equal(rendered.numpy(), frames[:, :, 10:30].transpose(3, 0, 1, 2))


def test_render__averages_when_halving_flat_blocks():
    blocks = np.random.default_rng(1).integers(0, 256, (1, 6, 6, 3), dtype=np.uint8)
    frames = blocks.repeat(8, axis=1).repeat(8, axis=2)
    rendered = render(frames, view_of(), 6).numpy().transpose(1, 2, 3, 0)
    # The antialiasing triangle reaches over 16 pixels: a quarter of its weight is the neighbours'.
    padded = np.pad(blocks.astype(float), ((0, 0), (1, 1), (1, 1), (0, 0)))
    weight = np.pad(np.ones((1, 6, 6, 1)), ((0, 0), (1, 1), (1, 1), (0, 0)))
    kernel = np.outer([0.125, 0.75, 0.125], [0.125, 0.75, 0.125])
    total = np.zeros((1, 6, 6, 3))
    norm = np.zeros((1, 6, 6, 1))
    for dy in range(3):
        for dx in range(3):
            total += kernel[dy, dx] * padded[:, dy : dy + 6, dx : dx + 6]
            norm += kernel[dy, dx] * weight[:, dy : dy + 6, dx : dx + 6]
    np.testing.assert_allclose(rendered, total / norm, atol=1.5)


def test_render__mirrors():
    frames = random_frames(30, 50)
    plain = render(frames, view_of((0.1, 0.2, 0.7, 0.9)), 16)
    mirrored = render(frames, view_of((0.1, 0.2, 0.7, 0.9), flip=True), 16)
    assert torch.equal(mirrored, plain.flip(-1))
    assert not torch.equal(mirrored, plain)


def test_render_clip__decodes_once_for_several_sizes(write_video, clip_of, monkeypatch):
    clip = clip_of(write_video(), 40)
    view = EvaluationViews(num_frames=5).draw(seed=0, clip=clip, view_index=0)
    frames = read_frames(clip, view.frame_indices)
    calls = []

    def counted(*arguments):
        calls.append(arguments)
        return read_frames(*arguments)

    monkeypatch.setattr(sys.modules["featkd.video.render"], "read_frames", counted)
    large, small = render_clip(clip, view, [48, 24]).pixels
    assert len(calls) == 1
    assert torch.equal(large, render(frames, view, 48))
    assert torch.equal(small, render(frames, view, 24))
    assert small.shape == (3, 5, 24, 24)


def test_render_clip__tells_the_frames_by_their_bytes_at_any_size(write_video, clip_of):
    clip = clip_of(write_video(), 40)
    view = view_of((0.2, 0.2, 0.8, 0.8), flip=True, frame_indices=(7, 2, 2))
    frames = [read_frames(clip, [index])[0].tobytes() for index in view.frame_indices]
    expected = zlib.crc32(b"".join(frames))
    for sizes in ([24], [48, 24], []):
        assert render_clip(clip, view, sizes).frames_crc32 == expected
    other = view_of((0.2, 0.2, 0.8, 0.8), flip=True, frame_indices=(2, 7, 2))
    assert render_clip(clip, other, [24]).frames_crc32 != expected


def test_render_clip__tells_frames_of_another_file(write_video, clip_of):
    view = view_of(frame_indices=(0, 1))
    clear = clip_of(write_video("clear.mp4", options={"crf": "1"}), 40)
    coarse = clip_of(write_video("coarse.mp4", options={"crf": "50"}), 40)
    found = {render_clip(clip, view, [8]).frames_crc32 for clip in (clear, coarse)}
    assert len(found) == 2


def test_crc32_of__is_that_of_the_bytes():
    rendered = torch.arange(3 * 2 * 4 * 4, dtype=torch.uint8).reshape(3, 2, 4, 4)
    assert crc32_of(rendered) == zlib.crc32(bytes(range(96)))
    assert crc32_of(rendered.flip(3)) != crc32_of(rendered)
    assert crc32_of(rendered.transpose(0, 1).contiguous().transpose(0, 1)) == crc32_of(rendered)


def test_render__gives_recorded_bytes():
    """Caches depend on it: if scaling gives other bytes, no cache made before can be replayed."""
    frames = (np.arange(2 * 30 * 50 * 3) * 7919 >> 3).astype(np.uint8).reshape(2, 30, 50, 3)
    rendered = render(frames, view_of((0.11, 0.2, 0.53, 0.9), flip=True), 16)
    assert crc32_of(rendered) == RECORDED_CRC32


@pytest.mark.parametrize("size", [1, 7, 300])
def test_render__gives_any_size(size):
    rendered = render(random_frames(20, 40), view_of((0.3, 0.1, 0.31, 0.12)), size)
    assert rendered.shape == (3, 2, size, size)


def test_render_clip__needs_no_particular_file_type(real_video, clip_of):
    path: Path = real_video("i3d_v_CricketShot_g04_c01_rgb.gif")
    clip = clip_of(path, 79, width=224, height=224)
    view = EvaluationViews(num_frames=2).draw(seed=0, clip=clip, view_index=0)
    [rendered] = render_clip(clip, view, [224]).pixels
    decoded = read_frames(clip, view.frame_indices)
    np.testing.assert_array_equal(rendered.numpy(), decoded.transpose(3, 0, 1, 2))
