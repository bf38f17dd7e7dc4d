"""Flow that somebody else computed, found by the names of the videos."""

from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

import numpy as np
from jaxtyping import UInt8

from featkd.errors import FlowError, VideoOpenError
from featkd.flow.arrays import find_array
from featkd.flow.images import find_images
from featkd.flow.reader import FlowFrames, FlowValue, gather
from featkd.types import Clip


class GivenFlow:
    """A folder of images or arrays; a `FlowReader`.

    A video's flow is looked for under its id, under its file's name with the folder it lies in, and
    under its file's name; suffixes of videos are left out. A clip that is a stretch of a file must
    have flow of its own, under its id.

    Args:
        folder: of all flow.

    Raises:
        FlowError: it is not a folder.
    """

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise FlowError(
                f"{folder} is not a folder; expected optical flow: computed by 'featkd flow', or "
                "images flow_x, flow_y, or .npy arrays"
            )
        self.folder = folder

    def fingerprint(self) -> dict[str, FlowValue]:
        """Nothing is known of it: rows of a cache tell by their CRC whether it is the same."""
        return {"flow.method": "given"}

    def read(
        self, clip: Clip, frame_indices: Sequence[int]
    ) -> UInt8[np.ndarray, "frames height width 2"]:
        """Flow of some frames of a clip; see `FlowReader.read`."""
        return gather(clip, frame_indices, self._find(clip))

    def _find(self, clip: Clip) -> FlowFrames:
        names = list(dict.fromkeys(_names_of(clip)))
        for name in names:
            found = find_array(self.folder, name) or find_images(self.folder, name)
            if found is not None:
                return found
        raise VideoOpenError(
            f"{self.folder} has no flow of {clip.video_id!r}; expected <name>.npy, or images in "
            f"<name>/flow_x_00001.jpg, <name>/x/ or u/<name>/, with <name> one of "
            f"{', '.join(names)}"
        )


def _names_of(clip: Clip) -> Iterator[str]:
    named = PurePosixPath(clip.video_id)
    if not named.is_absolute() and ".." not in named.parts:
        yield clip.video_id
    if clip.start_sec == 0 and clip.end_sec is None:
        yield f"{clip.path.parent.name}/{clip.path.stem}"
        yield clip.path.stem
