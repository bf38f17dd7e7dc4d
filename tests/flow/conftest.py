"""Videos whose motion is known."""

from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest

from featkd.types import Clip


@pytest.fixture
def needs_opencv() -> None:
    """Skips a test where flow cannot be computed."""
    pytest.importorskip("cv2.optflow", reason="OpenCV's contributed modules are not installed")


def shifted_frames(num_frames: int, shift: tuple[int, int], size: int = 96) -> list[np.ndarray]:
    """A smooth random texture that moves by (right, down) pixels a frame."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (40, 40, 3)).astype(float)
    ground = coarse.repeat(8, axis=0).repeat(8, axis=1)
    for axis in (0, 1):
        ground = sum(np.roll(ground, step, axis=axis) for step in range(-4, 5)) / 9
    right, down = shift
    start = 160 - size // 2
    frames = []
    for time in range(num_frames):
        top, left = start - time * down, start - time * right
        frames.append(ground[top : top + size, left : left + size].astype(np.uint8))
    return frames


@pytest.fixture
def moving() -> Callable[..., list[np.ndarray]]:
    """`shifted_frames`."""
    return shifted_frames


@pytest.fixture
def moving_clip(tmp_path: Path) -> Callable[..., Clip]:
    """A clip of a video file with known motion."""

    def make(
        name: str = "clip", *, num_frames: int = 5, shift: tuple[int, int] = (3, -2), size: int = 96
    ) -> Clip:
        path = tmp_path / "videos" / f"{name}.mp4"
        path.parent.mkdir(exist_ok=True, parents=True)
        with av.open(str(path), "w") as container:
            stream = container.add_stream("libx264", rate=10, options={"crf": "10"})
            stream.height = stream.width = size
            stream.pix_fmt = "yuv420p"
            for picture in shifted_frames(num_frames, shift, size):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            container.mux(stream.encode())
        return Clip(f"moves/{name}", path, 0, num_frames, size, size, 10.0)

    return make


@pytest.fixture
def clip() -> Clip:
    """A clip whose file nobody opens: five frames."""
    return Clip("jump/v_Jump_g01", Path("/videos/jump/v_Jump_g01.avi"), 0, 5, 12, 8, 25.0)


@pytest.fixture
def flow() -> np.ndarray:
    """Quantised flow of four frames of 8x12 pixels."""
    return np.random.default_rng(0).integers(0, 256, (4, 8, 12, 2), dtype=np.uint8)
