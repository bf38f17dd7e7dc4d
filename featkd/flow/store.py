"""Flow that was computed once: a folder with one file a clip.

::

    featkd-flow.json      format, method, parameters, software
    videos/<name>.zip     PNG images flow_x_00001.png, flow_y_00001.png, ... and clip.json
    failures/<name>.json  why a clip has no flow

``<name>`` is the clip's id in percent-encoding. PNG keeps every bit; a checksum in the archive
covers each image. A file appears whole or not at all.
"""

import io
import json
import zlib
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from pathlib import Path
from urllib.parse import quote
from zipfile import BadZipFile, ZipFile, ZipInfo

import numpy as np
from jaxtyping import UInt8
from PIL import Image
from pydantic import ValidationError

from featkd.durable import make_folder, replace_file, whole_file
from featkd.errors import FlowError, VideoDecodeError
from featkd.flow.images import read_plane
from featkd.flow.reader import FlowFrames, FlowValue, gather
from featkd.types import Clip, Spec

FORMAT = "featkd-flow/1"
HEADER_FILE = "featkd-flow.json"
_CLIP_FILE = "clip.json"
_LONGEST_NAME = 200
_PNG_LEVEL = 3


class FlowHeader(Spec):
    """How all flow of a folder was made."""

    format: str = FORMAT
    method: str
    parameters: dict[str, float]
    short_side: int | None
    bound_pixels: float
    opencv: str
    decoder: str


class _ClipFacts(Spec):
    """Which stretch of which video a file belongs to."""

    video_id: str
    num_frames: int
    start_sec: float
    end_sec: float | None
    num_flow_frames: int

    @classmethod
    def of(cls, clip: Clip, num_flow_frames: int) -> "_ClipFacts":
        return cls(
            video_id=clip.video_id,
            num_frames=clip.num_frames,
            start_sec=clip.start_sec,
            end_sec=clip.end_sec,
            num_flow_frames=num_flow_frames,
        )


class FlowStore:
    """A folder of computed flow; a `FlowReader`.

    Args:
        folder: that has a header.

    Raises:
        FlowError: it has none, or one of another format.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        path = folder / HEADER_FILE
        try:
            self.header = FlowHeader.model_validate_json(path.read_bytes())
        except (OSError, ValidationError) as error:
            raise FlowError(
                f"{path} cannot be read; expected the header of a folder that 'featkd flow' made: "
                f"{' '.join(str(error).split())}"
            ) from error
        if self.header.format != FORMAT:
            raise FlowError(f"{path}: format is {self.header.format!r}; expected {FORMAT!r}")

    @classmethod
    def begin(cls, folder: Path, header: FlowHeader) -> "FlowStore":
        """Make a folder, or go on with one that was made in the same way.

        Raises:
            FlowError: it was made in another way, or holds something else.
        """
        path = folder / HEADER_FILE
        if path.exists():
            store = cls(folder)
            for name, held in store.header:
                wanted = getattr(header, name)
                if held != wanted:
                    raise FlowError(
                        f"{path}: {name} is {held!r} and would be {wanted!r} now; flow that is "
                        "made in two ways does not mix, so choose another folder"
                    )
            return store
        if folder.exists() and any(folder.iterdir()):
            raise FlowError(
                f"{folder} is not empty and has no {HEADER_FILE}; expected a new folder"
            )
        for below in (folder / "videos", folder / "failures"):
            make_folder(below)
        replace_file(path, header.model_dump_json(indent=2).encode())
        return cls(folder)

    def fingerprint(self) -> dict[str, FlowValue]:
        """Method, parameters and software."""
        header = self.header
        return {
            "flow.method": header.method,
            **{f"flow.{name}": value for name, value in sorted(header.parameters.items())},
            "flow.short_side": header.short_side,
            "flow.bound_pixels": header.bound_pixels,
            "flow.opencv": header.opencv,
            "flow.decoder": header.decoder,
        }

    def holds(self, clip: Clip) -> bool:
        """Whether the flow of a clip, as it is now, is there."""
        path = self.path_of(clip)
        if not path.exists():
            return False
        try:
            with ZipFile(path) as archive:
                facts = _read_facts(archive)
        except (BadZipFile, KeyError, ValidationError, OSError):
            return False
        return facts == _ClipFacts.of(clip, facts.num_flow_frames)

    def write(self, clip: Clip, flow: Iterable[UInt8[np.ndarray, "height width 2"]]) -> int:
        """Keep the flow of a clip, in place of what is there of it.

        Args:
            clip: the clip.
            flow: quantised, from each of its frames to the next.

        Returns:
            The number of frames.

        Raises:
            OSError: it cannot be written; nothing of it is left.
            FeatkdError: whatever ``flow`` raises; nothing of it is left.
        """
        num_frames = 0
        with whole_file(self.path_of(clip)) as file, ZipFile(file, "w") as archive:
            for num_frames, frame in enumerate(flow, start=1):
                for axis, plane in zip("xy", np.moveaxis(frame, 2, 0), strict=True):
                    archive.writestr(ZipInfo(_member(axis, num_frames)), _png(plane))
            facts = _ClipFacts.of(clip, num_frames)
            archive.writestr(ZipInfo(_CLIP_FILE), facts.model_dump_json())
        self._failure_path(clip).unlink(missing_ok=True)
        return num_frames

    def write_failure(self, clip: Clip, reason: str) -> None:
        """Keep why a clip has no flow."""
        content = {"video_id": clip.video_id, "reason": reason}
        replace_file(self._failure_path(clip), json.dumps(content).encode())

    def read(
        self, clip: Clip, frame_indices: Sequence[int]
    ) -> UInt8[np.ndarray, "frames height width 2"]:
        """Flow of some frames of a clip; see `FlowReader.read`."""
        path = self.path_of(clip)
        if not path.exists():
            failure = self._failure_path(clip)
            if failure.exists():
                raise VideoDecodeError(str(json.loads(failure.read_bytes())["reason"]))
            raise FlowError(
                f"{self.folder} has no flow of {clip.video_id!r}; compute it: featkd flow MANIFEST "
                f"--output {self.folder}"
            )
        try:
            with ZipFile(path) as archive:
                facts = _read_facts(archive)
                if facts != _ClipFacts.of(clip, facts.num_flow_frames):
                    raise FlowError(
                        f"{path} holds the flow of {facts.video_id!r} with {facts.num_frames} "
                        f"frames from {facts.start_sec} s; expected that of {clip.video_id!r} with "
                        f"{clip.num_frames} frames from {clip.start_sec} s; compute it again: "
                        "featkd flow"
                    )
                return gather(clip, frame_indices, _Archive(path, archive, facts.num_flow_frames))
        except (BadZipFile, KeyError, ValidationError, OSError, zlib.error) as error:
            raise VideoDecodeError(
                f"{path} is damaged: {error}; delete it and compute it again: featkd flow"
            ) from error

    def path_of(self, clip: Clip) -> Path:
        """The file of a clip's flow."""
        return self.folder / "videos" / f"{_name(clip.video_id)}.zip"

    def _failure_path(self, clip: Clip) -> Path:
        return self.folder / "failures" / f"{_name(clip.video_id)}.json"


class _Archive(FlowFrames):
    """The frames in an open archive."""

    def __init__(self, path: Path, archive: ZipFile, num_frames: int) -> None:
        self._path = path
        self._archive = archive
        self._num_frames = num_frames

    @property
    def source(self) -> str:
        return str(self._path)

    @property
    def num_frames(self) -> int:
        return self._num_frames

    def frame(self, index: int) -> UInt8[np.ndarray, "height width 2"]:
        names = [_member(axis, index + 1) for axis in "xy"]
        planes = [read_plane(self._archive.read(name), f"{self._path}/{name}") for name in names]
        return np.stack(planes, axis=2)


def _read_facts(archive: ZipFile) -> _ClipFacts:
    return _ClipFacts.model_validate_json(archive.read(_CLIP_FILE))


def _member(axis: str, number: int) -> str:
    return f"flow_{axis}_{number:05d}.png"


def _png(plane: UInt8[np.ndarray, "height width"]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(plane).save(buffer, "PNG", compress_level=_PNG_LEVEL)
    return buffer.getvalue()


def _name(video_id: str) -> str:
    """A file name of an id: no part of it can lead out of the folder."""
    name = quote(video_id, safe="").replace(".", "%2E")
    if len(name) <= _LONGEST_NAME:
        return name
    return f"{name[:_LONGEST_NAME]}-{blake2b(video_id.encode(), digest_size=16).hexdigest()}"
