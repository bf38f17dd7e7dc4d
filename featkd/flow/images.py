"""Flow that others left as pairs of grey images, in one of the field's arrangements."""

import io
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from featkd.errors import VideoDecodeError
from featkd.flow.reader import FlowFrames

_AXES = (("flow_x", "flow_y"), ("x", "y"), ("u", "v"))
_SUFFIXES = (".jpg", ".jpeg", ".png")
_NUMBER = re.compile(r"(\d+)$")


class ImagePairs(FlowFrames):
    """Two runs of images, one for each direction, in step.

    Args:
        x: files by number, displacements to the right.
        y: displacements downwards.

    Raises:
        VideoDecodeError: a number is missing in one of them.
    """

    def __init__(self, x: dict[int, Path], y: dict[int, Path]) -> None:
        self._x, self._y = x, y
        self._first = min(x)
        for number in range(self._first, max(x, default=0) + 1):
            for images in (x, y):
                if number not in images:
                    there = next(iter(images.values()))
                    raise VideoDecodeError(
                        f"{there.parent} has no image number {number} beside {there.name}; "
                        f"expected pairs numbered from {self._first} to {max(x)}"
                    )
        if len(x) != len(y):
            raise VideoDecodeError(
                f"{self.source} has {len(x)} images of flow to the right and {len(y)} downwards; "
                "expected pairs"
            )

    @property
    def source(self) -> str:
        """The folder of the first images."""
        return str(self._x[self._first].parent)

    @property
    def num_frames(self) -> int:
        """Pairs of images."""
        return len(self._x)

    def frame(self, index: int) -> UInt8[np.ndarray, "height width 2"]:
        """One pair.

        Raises:
            VideoDecodeError: one cannot be read, or they differ in size.
        """
        paths = [images[self._first + index] for images in (self._x, self._y)]
        try:
            x, y = (read_plane(path.read_bytes(), str(path)) for path in paths)
        except OSError as error:
            raise VideoDecodeError(f"{paths[0]} cannot be read: {error}") from error
        if x.shape != y.shape:
            raise VideoDecodeError(
                f"{paths[0]} is {x.shape[1]}x{x.shape[0]} pixels and {paths[1]} "
                f"{y.shape[1]}x{y.shape[0]}; expected one size"
            )
        return np.stack([x, y], axis=2)


def find_images(root: Path, name: str) -> ImagePairs | None:
    """The images of a video, in whichever arrangement there is.

    With (x, y) one of (flow_x, flow_y), (x, y), (u, v), these are ``<name>/x_00001.jpg``,
    ``<name>/x/00001.jpg`` and ``x/<name>/00001.jpg``. The number at the end of a file's name
    counts; what stands before it does not.

    Args:
        root: folder of all flow.
        name: of the video, as a path below it.

    Returns:
        None where there are none.

    Raises:
        VideoDecodeError: pairs are incomplete.
    """
    for x_axis, y_axis in _AXES:
        for x, y in _arrangements(root, name, x_axis, y_axis):
            if x or y:
                if not (x and y):
                    there = next(iter((x or y).values()))
                    missing, present = (y_axis, x_axis) if x else (x_axis, y_axis)
                    raise VideoDecodeError(
                        f"{there.parent} has images of {present} and none of {missing}; expected "
                        "pairs"
                    )
                return ImagePairs(x, y)
    return None


def read_plane(content: bytes, source: str) -> UInt8[np.ndarray, "height width"]:
    """Decode a grey image.

    Args:
        content: JPEG or PNG.
        source: where it comes from, for messages.

    Raises:
        VideoDecodeError: it is neither, or damaged.
    """
    try:
        with Image.open(io.BytesIO(content), formats=["JPEG", "PNG"]) as image:
            if image.mode not in {"L", "RGB"}:
                raise VideoDecodeError(
                    f"{source} is an image of mode {image.mode}; expected 8-bit grey"
                )
            return np.asarray(image.convert("L"))
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise VideoDecodeError(f"{source} does not decode as JPEG or PNG: {error}") from error


def _arrangements(
    root: Path, name: str, x_axis: str, y_axis: str
) -> Iterator[tuple[dict[int, Path], dict[int, Path]]]:
    yield _numbered(root / name, f"{x_axis}_"), _numbered(root / name, f"{y_axis}_")
    yield _numbered(root / name / x_axis, ""), _numbered(root / name / y_axis, "")
    yield _numbered(root / x_axis / name, ""), _numbered(root / y_axis / name, "")


def _numbered(folder: Path, prefix: str) -> dict[int, Path]:
    """Images of a folder by the number at the end of their names."""
    if not folder.is_dir():
        return {}
    found = {}
    for path in folder.iterdir():
        number = _NUMBER.search(path.stem)
        if path.name.startswith(prefix) and path.suffix.casefold() in _SUFFIXES and number:
            found[int(number[1])] = path
    return found
