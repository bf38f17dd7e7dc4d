"""A rendered view as intra-coded images in one block of bytes of a fixed size.

The block begins with the length of each of the T images as a little-endian uint32; the images, JPEG
files without chroma subsampling, follow one after another; zeros fill the rest. Every frame stands
for itself, so nothing is carried from one frame into the next. What lies inside an image is not
proved by the block: whoever stores it has to checksum it.
"""

import io
import struct

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image
from torch import Tensor

from featkd.errors import UsageError

_START, _END = b"\xff\xd8", b"\xff\xd9"
_FULL_CHROMA = 0
_OVERHEAD_BYTES = 1024
"""Room for an image's length, its tables, and the edge that fills up its last blocks."""


def encode_frames(
    pixels: UInt8[Tensor, "3 time size size"], *, quality: int, capacity_bytes: int
) -> UInt8[np.ndarray, " capacity_bytes"]:
    """Compress a rendered view, with loss.

    Args:
        pixels: RGB, as `featkd.video.render` gives them.
        quality: of the JPEG images, 1 to 100.
        capacity_bytes: size of the block; see `frame_blob_capacity_bytes`.

    Raises:
        UsageError: the images need more than the block holds.
    """
    images = [_encode(frame, quality) for frame in pixels.permute(1, 2, 3, 0).numpy()]
    content = struct.pack(f"<{len(images)}I", *map(len, images)) + b"".join(images)
    if len(content) > capacity_bytes:
        raise UsageError(
            f"{len(images)} frames as JPEG of quality {quality} take {len(content)} bytes; "
            f"expected at most {capacity_bytes}; lower the quality"
        )
    blob = np.zeros(capacity_bytes, np.uint8)
    blob[: len(content)] = np.frombuffer(content, np.uint8)
    return blob


def decode_frames(
    blob: UInt8[Tensor, " capacity_bytes"], shape: tuple[int, int, int, int]
) -> UInt8[Tensor, "3 time size size"]:
    """Give the pixels of a block back, as near as JPEG keeps them.

    Args:
        blob: what `encode_frames` made.
        shape: of the view, (3, T, size, size).

    Raises:
        ValueError: the block is damaged, or holds a view of another shape.
    """
    _, num_frames, height, width = shape
    content = blob.contiguous().numpy().data
    header_bytes = 4 * num_frames
    if header_bytes > len(content):
        raise ValueError(f"{len(content)} bytes cannot hold the lengths of {num_frames} images")
    frames = np.empty((num_frames, height, width, 3), np.uint8)
    start = header_bytes
    for position, num_bytes in enumerate(struct.unpack_from(f"<{num_frames}I", content)):
        image = content[start : start + num_bytes]
        if len(image) != num_bytes or image[:2] != _START or image[-2:] != _END:
            raise ValueError(
                f"image {position} of {num_frames} is said to have {num_bytes} bytes from byte "
                f"{start}; no JPEG image lies there"
            )
        frames[position] = _decode(image, position, (width, height))
        start += num_bytes
    return torch.from_numpy(np.ascontiguousarray(frames.transpose(3, 0, 1, 2)))


def frame_blob_capacity_bytes(shape: tuple[int, int, int, int]) -> int:
    """A size of block that every view of a shape fits in, up to quality 95 even if it is noise.

    Filmed frames need a third of it or less. The zeros that fill a block cost next to nothing where
    blocks are compressed without loss.

    Args:
        shape: (3, T, size, size).
    """
    num_channels, num_frames, height, width = shape
    return num_frames * (_OVERHEAD_BYTES + num_channels * height * width)


def _encode(frame: UInt8[np.ndarray, "height width 3"], quality: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(frame).save(buffer, "JPEG", quality=quality, subsampling=_FULL_CHROMA)
    return buffer.getvalue()


def _decode(
    content: memoryview, position: int, size: tuple[int, int]
) -> UInt8[np.ndarray, "height width 3"]:
    try:
        with Image.open(io.BytesIO(content), formats=["JPEG"]) as image:
            if (image.mode, image.size) != ("RGB", size):
                raise ValueError(
                    f"image {position} is {image.mode} of {image.width}x{image.height} pixels; "
                    f"expected RGB of {size[0]}x{size[1]}"
                )
            return np.asarray(image)
    except (OSError, Image.DecompressionBombError) as error:
        raise ValueError(f"image {position} does not decode as JPEG") from error
