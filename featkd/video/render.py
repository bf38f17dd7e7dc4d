"""From a view to the pixels a network takes."""

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image
from torch import Tensor

from featkd.types import Clip, View
from featkd.video.decode import read_frames
from featkd.video.modality import NUM_CHANNELS, mirrored

FrameReader = Callable[[Clip, Sequence[int]], UInt8[np.ndarray, "frames height width channels"]]
"""Gives frames of a clip by their indices, in the order asked: RGB as `read_frames`, or flow."""


def render(
    frames: UInt8[np.ndarray, "time height width channels"], view: View, size: int
) -> UInt8[Tensor, "channels time {size} {size}"]:
    """Cut a view's region out of its frames and scale it.

    The region's borders may lie between pixels. Scaling is Pillow's antialiased bilinear filter,
    integer arithmetic that gives the same bytes on every machine. Flow is scaled as an image: its
    displacements stay those of the frames it was computed on, as the field has it.

    Args:
        frames: the view's frames, as a `FrameReader` gives them.
        view: gives the region and whether it is mirrored; its frame indices are not used.
        size: height and width of the result in pixels.
    """
    _, height, width, _ = frames.shape
    left, top, right, bottom = view.crop_box
    box = (left * width, top * height, right * width, bottom * height)
    scaled = np.stack([_scaled(frame, box, size) for frame in frames])
    if view.flip:
        scaled = mirrored(scaled)
    return torch.from_numpy(np.ascontiguousarray(scaled.transpose(3, 0, 1, 2)))


@dataclass(frozen=True, slots=True)
class Rendered:
    """A view rendered at several sizes from one decoding.

    Attributes:
        pixels: (C, T, size, size) for each size, in the order asked for.
        frames_crc32: CRC32 of the decoded frames, upright and in full size, in the view's order.
            It does not depend on the sizes, so networks of any input size can prove by it that
            they see the very same frames.
    """

    pixels: list[Tensor]
    frames_crc32: int


def render_clip(
    clip: Clip, view: View, sizes: Sequence[int], read: FrameReader | None = None
) -> Rendered:
    """Decode a view once and render it at several sizes, for example a teacher's and a student's.

    Args:
        clip: the clip the view was drawn from.
        view: frames, region and flip.
        sizes: heights (= widths) in pixels.
        read: where its frames come from; default: `read_frames`, the colours of its video.

    Raises:
        VideoError: the frames cannot be read.
    """
    frames = (read or read_frames)(clip, view.frame_indices)
    pixels = [render(frames, view, size) for size in sizes]
    return Rendered(pixels, zlib.crc32(frames.data))


def crc32_of(rendered: UInt8[Tensor, "channels time height width"]) -> int:
    """CRC32 of a rendered view's bytes, by which a cache proves that a view was replayed."""
    return zlib.crc32(rendered.contiguous().numpy().data)


def _scaled(
    frame: UInt8[np.ndarray, "height width channels"],
    box: tuple[float, float, float, float],
    size: int,
) -> UInt8[np.ndarray, "{size} {size} channels"]:
    # Pillow takes two channels for grey with opacity and would weigh one by the other.
    is_rgb = frame.shape[2] == NUM_CHANNELS["rgb"]
    planes = [frame] if is_rgb else list(np.moveaxis(frame, 2, 0))
    images = [
        np.asarray(Image.fromarray(plane).resize((size, size), Image.Resampling.BILINEAR, box=box))
        for plane in planes
    ]
    return images[0] if is_rgb else np.stack(images, axis=2)
