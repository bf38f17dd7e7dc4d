"""From a view to the pixels a network takes."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image
from torch import Tensor

from featkd.types import Clip, View
from featkd.video.decode import read_frames


def render(
    frames: UInt8[np.ndarray, "time height width 3"], view: View, size: int
) -> UInt8[Tensor, "3 time {size} {size}"]:
    """Cut a view's region out of its frames and scale it.

    The region's borders may lie between pixels. Scaling is Pillow's antialiased bilinear filter,
    integer arithmetic that gives the same bytes on every machine.

    Args:
        frames: the view's frames, as `read_frames` gives them.
        view: gives the region and whether it is mirrored; its frame indices are not used.
        size: height and width of the result in pixels.
    """
    _, height, width, _ = frames.shape
    left, top, right, bottom = view.crop_box
    box = (left * width, top * height, right * width, bottom * height)
    scaled = np.stack(
        [
            np.asarray(
                Image.fromarray(frame).resize((size, size), Image.Resampling.BILINEAR, box=box)
            )
            for frame in frames
        ]
    )
    if view.flip:
        scaled = scaled[:, :, ::-1]
    return torch.from_numpy(np.ascontiguousarray(scaled.transpose(3, 0, 1, 2)))


@dataclass(frozen=True, slots=True)
class Rendered:
    """A view rendered at several sizes from one decoding.

    Attributes:
        pixels: (3, T, size, size) for each size, in the order asked for.
        frames_crc32: CRC32 of the decoded frames, upright and in full size, in the view's order.
            It does not depend on the sizes, so networks of any input size can prove by it that
            they see the very same frames.
    """

    pixels: list[Tensor]
    frames_crc32: int


def render_clip(clip: Clip, view: View, sizes: Sequence[int]) -> Rendered:
    """Decode a view once and render it at several sizes, for example a teacher's and a student's.

    Args:
        clip: the clip the view was drawn from.
        view: frames, region and flip.
        sizes: heights (= widths) in pixels.

    Raises:
        VideoError: the frames cannot be read.
    """
    frames = read_frames(clip, view.frame_indices)
    pixels = [render(frames, view, size) for size in sizes]
    return Rendered(pixels, zlib.crc32(frames.data))


def crc32_of(rendered: UInt8[Tensor, "3 time height width"]) -> int:
    """CRC32 of a rendered view's bytes, by which a cache proves that a view was replayed."""
    return zlib.crc32(rendered.contiguous().numpy().data)
