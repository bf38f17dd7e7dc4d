"""Small videos whose every frame tells its own number, and where real videos lie."""

import os
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from featkd.types import Clip

WIDTH, HEIGHT, BITS = 64, 48, 8


def numbered_frame(number: int) -> np.ndarray:
    """A picture with ``number`` written into it as eight black or white bars."""
    frame = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)
    bar = WIDTH // BITS
    for bit in range(BITS):
        frame[: HEIGHT // 2, bit * bar : (bit + 1) * bar] = 255 if number >> bit & 1 else 0
    return frame


def read_number(frame: np.ndarray) -> int:
    """The number that `numbered_frame` wrote."""
    bars = frame[: HEIGHT // 2].astype(float).mean(axis=(0, 2)).reshape(BITS, -1).mean(axis=1)
    return sum(1 << bit for bit in range(BITS) if bars[bit] > 128)


@pytest.fixture
def numbers_in() -> Callable[[np.ndarray], list[int]]:
    """Reads the numbers out of decoded frames."""
    return lambda frames: [read_number(frame) for frame in frames]


@pytest.fixture
def write_video(tmp_path: Path) -> Callable[..., Path]:
    """Encodes numbered frames, or frames given, and returns the file."""

    def write(
        name: str = "video.mp4",
        *,
        num_frames: int = 40,
        frames: Sequence[np.ndarray] | None = None,
        codec: str = "libx264",
        pix_fmt: str = "yuv420p",
        fps: int = 10,
        ticks: Sequence[int] | None = None,
        options: dict[str, str] | None = None,
        container_options: dict[str, str] | None = None,
        hidden_frames: int = 0,
        display_matrix: Sequence[int] | None = None,
    ) -> Path:
        """Encode.

        ``ticks`` are presentation times in units of 1/fps; ``hidden_frames`` at the start are put
        before time zero, where an edit list hides them.
        """
        path = tmp_path / name
        pictures = frames or [numbered_frame(number) for number in range(num_frames)]
        hide = {"avoid_negative_ts": "disabled"} if hidden_frames else {}
        with av.open(str(path), "w", options=hide | (container_options or {})) as container:
            stream = container.add_stream(codec, rate=fps, options=options or {})
            stream.height, stream.width = pictures[0].shape[:2]
            stream.pix_fmt = pix_fmt
            if display_matrix is not None:
                stream.set_display_matrix(display_matrix)
            packets = []
            for number, picture in enumerate(pictures):
                frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
                frame.pts = number if ticks is None else ticks[number]
                frame.time_base = Fraction(1, fps)
                packets += stream.encode(frame)
            for packet in packets + stream.encode():
                shift = round(hidden_frames * Fraction(1, fps) / packet.time_base)
                packet.pts -= shift
                packet.dts -= shift
                container.mux(packet)
        return path

    return write


@pytest.fixture
def clip_of() -> Callable[..., Clip]:
    """Makes a clip of a file."""

    def make(path: Path, num_frames: int, **changes: object) -> Clip:
        facts: dict[str, object] = {"width": WIDTH, "height": HEIGHT, "fps": 10.0} | changes
        return Clip(video_id="v", path=path, label=0, num_frames=num_frames, **facts)

    return make


@pytest.fixture(scope="session")
def real_video() -> Callable[[str], Path]:
    """Finds a real video by name, or skips the test."""
    repository = Path(__file__).parents[2]
    folder = repository / os.environ.get("FEATKD_SHARED", "../shared") / "data" / "videos"

    def find(name: str) -> Path:
        for part in ("awkward", "known_label_clips"):
            if (folder / part / name).is_file():
                return folder / part / name
        pytest.skip(f"no {name} under {folder}: FEATKD_SHARED names the folder of real data")

    return find
