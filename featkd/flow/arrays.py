"""Flow that others left as NumPy arrays."""

from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from featkd.errors import VideoDecodeError
from featkd.flow.reader import FlowFrames
from featkd.video import quantise_flow


class FlowArray(FlowFrames):
    """A ``.npy`` file of shape (T, H, W, 2): floats are pixels a frame, uint8 is quantised.

    The file is mapped, so that only the frames that are asked for are read.

    Raises:
        VideoDecodeError: it is no such array, or holds objects, which are not loaded.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._values = np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise VideoDecodeError(f"{path} is not a NumPy array: {error}") from error
        shape, dtype = self._values.shape, self._values.dtype
        if len(shape) != 4 or shape[3] != 2 or not (dtype.kind == "f" or dtype == np.uint8):
            raise VideoDecodeError(
                f"{path} has shape {shape} and type {dtype}; expected (T, H, W, 2) of floats in "
                "pixels or of uint8"
            )

    @property
    def source(self) -> str:
        """The file."""
        return str(self._path)

    @property
    def num_frames(self) -> int:
        """T."""
        return int(self._values.shape[0])

    def frame(self, index: int) -> UInt8[np.ndarray, "height width 2"]:
        """One field, quantised.

        Raises:
            VideoDecodeError: it has values that are not finite.
        """
        values = np.asarray(self._values[index])
        if values.dtype == np.uint8:
            return values
        if not np.isfinite(values).all():
            raise VideoDecodeError(
                f"{self._path}: frame {index} has values that are not finite; expected pixels"
            )
        return quantise_flow(values)


def find_array(root: Path, name: str) -> FlowArray | None:
    """The array ``<name>.npy`` of a video; None where there is none."""
    path = root / f"{name}.npy"
    return FlowArray(path) if path.is_file() else None
