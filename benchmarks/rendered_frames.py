"""Rendered views out of the cache against decoding the video again: bytes and milliseconds a view.

    python benchmarks/rendered_frames.py

Random views of the real clips below FEATKD_SHARED, at three sizes. Each view is decoded and
rendered, as training does without a cache of frames, and read from caches that keep it lossless
(zstd, lz4) or as JPEG images of quality 95. The ways take turns view by view, in one thread of
Python, with files in memory. Writes benchmarks/results/rendered_frames.json and .md.
"""

import argparse
import math
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from feature_maps import REPOSITORY
from record import RESULTS, save_record
from torch import Tensor

from featkd.cache import ArraySpec, Compression, FolderStore
from featkd.experiment.arrays import frames_array
from featkd.experiment.workspace import row_table
from featkd.types import Clip, View
from featkd.video import (
    TrainingViews,
    decode_frames,
    encode_frames,
    frame_blob_capacity_bytes,
    probe,
    render_clip,
)

SIZES = ((16, 64), (16, 112), (64, 224))
"""Frames and pixels."""
QUALITY = 95
PART_ROWS = 8


@dataclass(frozen=True)
class Way:
    """How views are kept."""

    image: Literal["lossless", "jpeg"]
    compression: Compression


WAYS = {
    "lossless zstd": Way("lossless", "zstd"),
    "lossless lz4": Way("lossless", "lz4"),
    "jpeg 95": Way("jpeg", "zstd"),
}
VIDEO = "decode and render"


def real_clips() -> list[Clip]:
    """Every real clip, in whole."""
    shared = REPOSITORY / os.environ.get("FEATKD_SHARED", "../shared")
    folder = shared / "data" / "videos" / "known_label_clips"
    if not folder.is_dir():
        raise SystemExit(f"no folder {folder}; set FEATKD_SHARED to the folder of the shared data")
    clips = []
    for path in sorted(path for path in folder.iterdir() if path.suffix != ".csv"):
        info = probe(path)
        clips.append(Clip(path.name, path, 0, info.num_frames, info.width, info.height, info.fps))
    return clips


class KeptViews:
    """Rendered views in a cache of their own.

    Args:
        folder: of the cache, which is made.
        way: how views are kept.
        pixels: (rows, 3, T, size, size).
        clips: of the rows.
        views: how they were drawn.
    """

    def __init__(
        self, folder: Path, way: Way, pixels: np.ndarray, clips: list[Clip], views: TrainingViews
    ) -> None:
        self._way = way
        num_rows, *shape = pixels.shape
        self._shape = (shape[0], shape[1], shape[2], shape[3])
        self._name = frames_array(shape[-1], way.image)
        stored = pixels
        if way.image == "jpeg":
            capacity = frame_blob_capacity_bytes(self._shape)
            stored = np.stack([_encode(view, capacity) for view in pixels])
        spec = ArraySpec(
            name=self._name,
            shape=stored.shape[1:],
            dtype="uint8",
            compression=way.compression,
        )
        rows = row_table(clips, "train", views, 0, range(views.num_views))
        with FolderStore.create(folder, rows, part_rows=PART_ROWS) as store:
            store.add_layer("teacher", [spec], {})
            for part in range(store.num_parts):
                span = store.part_range(part)
                values = {self._name: stored[span.start : span.stop]}
                store.write_part("teacher", part, values, failures={}, seconds={})
            files = [store.commit("teacher", part).files for part in range(store.num_parts)]
        self.row_bytes = sum(f.num_bytes for part in files for f in part.values()) / num_rows
        # Nothing resident: caches of frames are larger than memory.
        self.store = FolderStore.open(folder, resident_array_bytes=0)

    def read(self, row: int) -> Tensor:
        """Pixels of a row."""
        (stored,) = self.store.read_rows(self._name, [row])
        return stored if self._way.image == "lossless" else decode_frames(stored, self._shape)


def _encode(view: np.ndarray, capacity_bytes: int) -> np.ndarray:
    return encode_frames(torch.from_numpy(view), quality=QUALITY, capacity_bytes=capacity_bytes)


def _decode(clip: Clip, view: View, size: int) -> Tensor:
    return render_clip(clip, view, [size]).pixels[0]


def measure(clips: list[Clip], num_frames: int, size: int, num_views: int) -> dict[str, object]:
    """All ways on the same views."""
    views = TrainingViews(num_frames=num_frames, num_views=num_views)
    drawn = [
        (clip, views.draw(seed=0, clip=clip, view_index=index))
        for clip in clips
        for index in range(num_views)
    ]
    pixels = np.stack([_decode(*pair, size).numpy() for pair in drawn])
    with tempfile.TemporaryDirectory() as temporary, ExitStack() as stack:
        kept = {
            name: KeptViews(Path(temporary) / name.replace(" ", "_"), way, pixels, clips, views)
            for name, way in WAYS.items()
        }
        for one in kept.values():
            stack.enter_context(one.store)
        times: dict[str, list[float]] = {name: [] for name in (VIDEO, *kept)}
        errors: list[float] = []
        for row, pair in enumerate(drawn):
            works: dict[str, Callable[[], Tensor]] = {
                VIDEO: partial(_decode, *pair, size),
                **{name: partial(one.read, row) for name, one in kept.items()},
            }
            names = list(works) if row % 2 == 0 else list(works)[::-1]
            for name in names:
                started = time.perf_counter()
                read = works[name]()
                times[name].append(1000 * (time.perf_counter() - started))
                difference = read.numpy().astype(np.float32) - pixels[row]
                error = float(np.square(difference).mean())
                if name == "jpeg 95":
                    errors.append(error)
                elif error:
                    raise SystemExit(f"{name} gives other pixels for row {row}")
        sizes = {VIDEO: statistics.fmean(clip.path.stat().st_size for clip in clips)}
        sizes |= {name: one.row_bytes for name, one in kept.items()}
    # A view of one colour only would come back exactly.
    decibels = [10 * math.log10(255**2 / error) for error in errors if error]
    return {
        "num_views": len(drawn),
        "raw_kb": pixels[0].nbytes / 1000,
        "jpeg_psnr_db": {"median": statistics.median(decibels), "worst": min(decibels)},
        "ways": {
            name: {
                "kb": sizes[name] / 1000,
                "median_ms": statistics.median(values),
                "mean_ms": statistics.fmean(values),
            }
            for name, values in times.items()
        },
    }


def as_markdown(measured: Mapping[str, dict[str, Any]]) -> str:
    """One row for each size and way."""
    lines = [
        "# Rendered views: from the video, or from the cache",
        "",
        "Bytes and milliseconds of one view of real clips, files in memory; for the video, bytes",
        "of the whole file, whatever the view takes of it.",
        "",
        "| view | way | kB | of raw | median ms | mean ms | PSNR, dB: median, worst |",
        "|---|---|---:|---:|---:|---:|---|",
    ]
    for setting, found in measured.items():
        for name, way in found["ways"].items():
            psnr = found["jpeg_psnr_db"]
            quality = "exact"
            if name == "jpeg 95":
                quality = f"{psnr['median']:.1f}, {psnr['worst']:.1f}"
            share = "" if name == VIDEO else f"{way['kb'] / found['raw_kb']:.0%}"
            lines.append(
                f"| {setting} | {name} | {way['kb']:.0f} | {share} | {way['median_ms']:.1f} "
                f"| {way['mean_ms']:.1f} | {quality} |"
            )
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--views", type=int, default=2, help="of each clip")
    parser.add_argument("--clips", type=int, default=None, help="only the first so many")
    arguments = parser.parse_args()
    clips = real_clips()[: arguments.clips]
    measured = {
        f"{frames}x{size}x{size}": measure(clips, frames, size, arguments.views)
        for frames, size in SIZES
    }
    save_record("rendered_frames", {"sizes": measured})
    table = as_markdown(measured)
    (RESULTS / "rendered_frames.md").write_text(table, encoding="utf-8")
    print(table)


if __name__ == "__main__":
    main()
