"""From a decoded frame to RGB pixels as they are meant to be shown."""

import struct
from dataclasses import dataclass

import numpy as np
from av.sidedata.sidedata import SideData
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Interpolation, VideoReformatter
from jaxtyping import UInt8

# Without these flags libswscale takes short cuts that differ between processors and darken the
# picture by one to two levels; with them equal frames give equal pixels everywhere.
_EXACT = (
    Interpolation.BILINEAR
    | Interpolation.ACCURATE_RND
    | Interpolation.FULL_CHR_H_INT
    | Interpolation.BITEXACT
)


@dataclass(frozen=True, slots=True)
class Orientation:
    """How a stored frame is turned before it is shown: first transposed, then mirrored."""

    transposed: bool = False
    mirrored_x: bool = False
    mirrored_y: bool = False

    @classmethod
    def of(cls, frame: VideoFrame) -> "Orientation":
        """Read a frame's display matrix, rounded to quarter turns; upright without one.

        The matrix maps a stored point to a shown one, x' = a·x + c·y and y' = b·x + d·y, and is
        kept row by row, (a, b, u), (c, d, v), (x, y, w), in native 32-bit integers.
        """
        matrix = frame.side_data.get("DISPLAYMATRIX")
        if not isinstance(matrix, SideData):
            return cls()
        a, b, _, c, d, *_ = struct.unpack("=9i", bytes(matrix))
        transposed = abs(b) > abs(a)
        x_scale, y_scale = (c, b) if transposed else (a, d)
        return cls(transposed=transposed, mirrored_x=x_scale < 0, mirrored_y=y_scale < 0)

    def apply(
        self, pixels: UInt8[np.ndarray, "height width 3"]
    ) -> UInt8[np.ndarray, "shown_height shown_width 3"]:
        """Turn stored pixels upright, as a view of the same memory."""
        if self.transposed:
            pixels = pixels.transpose(1, 0, 2)
        return pixels[:: -1 if self.mirrored_y else 1, :: -1 if self.mirrored_x else 1]

    def shown_size(self, frame: VideoFrame) -> tuple[int, int]:
        """Width and height of a frame as it is shown, in pixels."""
        if self.transposed:
            return frame.height, frame.width
        return frame.width, frame.height


class RgbConverter:
    """Converts the frames of one video; reusing it saves setting up libswscale for each frame."""

    def __init__(self) -> None:
        self._reformatter = VideoReformatter()

    def __call__(self, frame: VideoFrame) -> UInt8[np.ndarray, "height width 3"]:
        """Full-range RGB, upright. The source's matrix, range and bit depth are honoured."""
        rgb = self._reformatter.reformat(
            frame,
            format="rgb24",
            interpolation=_EXACT,
            dst_color_range=ColorRange.JPEG,
            threads=1,
        )
        return Orientation.of(frame).apply(rgb.to_ndarray())
