"""Rows, manifests and tiny videos for the manifest tests."""

from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pandas as pd
import pytest

from featkd.manifest import Manifest, ManifestHeader


@pytest.fixture
def header() -> ManifestHeader:
    return ManifestHeader(
        dataset="tiny",
        version="1",
        classes=("run", "jump, high", "wave"),
        protocol="by hand",
        source="nowhere",
        licence="CC0",
    )


@pytest.fixture
def table() -> pd.DataFrame:
    """Four right rows: two train, one val, one test."""
    return pd.DataFrame(
        {
            "video_id": ["run/a", "jump/b", "wave/c", "run/d"],
            "path": ["run/a.mp4", "jump/b.avi", "wave/c é.mkv", "run/d.mp4"],
            "label": [0, 1, 2, 0],
            "class_name": ["run", "jump, high", "wave", "run"],
            "split": ["train", "train", "val", "test"],
            "start_sec": [0.0, 1.5, 0.0, 0.1],
            "end_sec": [None, 4.25, None, 1 / 3],
            "num_frames": [24, 68, 10, 0],
            "fps": [24.0, 29.97, 30000 / 1001, 0.0],
            "width": [80, 320, 64, 0],
            "height": [80, 240, 64, 0],
            "group": ["g1", "g2", None, "g4"],
            "sha256": ["a" * 64, "b" * 64, None, "d" * 64],
        }
    )


@pytest.fixture
def manifest(header: ManifestHeader, table: pd.DataFrame, tmp_path: Path) -> Manifest:
    return Manifest(header, table, tmp_path)


def _encode(path: Path, *, num_frames: int = 5, shade: int = 0, fps: int = 10) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=fps)
        stream.width = stream.height = 32
        stream.pix_fmt = "yuv420p"
        for index in range(num_frames):
            pixels = np.full((32, 32, 3), (shade + 20 * index) % 256, dtype=np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())


@pytest.fixture
def encode() -> Callable[..., None]:
    """Writes a real video of 32x32 pixels, 10 frames per second; ``shade`` makes it unique."""
    return _encode


@pytest.fixture
def real_videos(shared_data: Path) -> Path:
    """Folder of the real videos, with ``awkward`` and ``known_label_clips`` inside."""
    return shared_data / "videos"


def _manifest_of(rows: list[dict[str, object]], root: Path = Path(), **header: object) -> Manifest:
    """Rows that name what matters; the rest is filled in, the classes in order of appearance."""
    filled = [
        {
            "video_id": f"v{index}",
            "path": f"v{index}.mp4",
            "class_name": "run",
            "split": "train",
            "start_sec": 0.0,
            "end_sec": None,
            "num_frames": 20,
            "fps": 10.0,
            "width": 32,
            "height": 24,
            "group": None,
            "sha256": None,
            **row,
        }
        for index, row in enumerate(rows)
    ]
    fields = {
        "dataset": "tiny",
        "version": "1",
        "classes": tuple(dict.fromkeys(row["class_name"] for row in filled)),
        "protocol": "by hand",
        "source": "nowhere",
        "licence": "CC0",
        **header,
    }
    for row in filled:
        row["label"] = fields["classes"].index(row["class_name"])
    return Manifest(ManifestHeader(**fields), pd.DataFrame(filled), root)


@pytest.fixture(scope="session")
def manifest_of() -> Callable[..., Manifest]:
    """Makes a manifest of rows that name what matters, a root, and fields of the header."""
    return _manifest_of
