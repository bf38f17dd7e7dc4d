"""Feature maps to store: synthetic ones, and those of a network on real clips.

Both are (rows, 1024, 8, 7, 7) float16 behind a ReLU, the shape of I3D's last map for 64 frames of
224 x 224 pixels.
"""

import math
import os
from collections.abc import Iterator
from pathlib import Path
from statistics import NormalDist
from typing import Literal

import numpy as np
import pandas as pd

REPOSITORY = Path(__file__).parents[1]
MAP_SHAPE = (1024, 8, 7, 7)
NUM_CLASSES = 400
NUM_REAL_VIEWS = 24
_CALIBRATION_VIEWS = 6

# Chosen so that zeros and spread are those of a trained network: 70 % zeros, by channel 37 / 72 /
# 94 % (5th, 50th, 95th percentile), and a standard deviation of 1.52 of the values' logarithm.
_ZEROS_LOGIT_MEAN, _ZEROS_LOGIT_STD = 1.05, 0.93
_LOG_SCALE_STD = 0.93
_SMOOTH_SHARE = 0.9

MAPS, ATTENTION, LOGITS = "features/Mixed_5c.full", "attention/Mixed_5c", "logits"
ROW_SHAPES = {MAPS: MAP_SHAPE, ATTENTION: MAP_SHAPE[:2], LOGITS: (NUM_CLASSES,)}
MADE_OF = {
    "synthetic": "rectified Gaussian fields with zeros and spread of a trained network's maps",
    "real": f"maps of a full-width I3D with random weights and calibrated batch norm on "
    f"{NUM_REAL_VIEWS} views of real clips, repeated with permuted channels",
}
DTYPES: dict[str, Literal["float16", "float32"]] = {
    MAPS: "float16",
    ATTENTION: "float16",
    LOGITS: "float32",
}


def signals(
    kind: str, num_rows: int, block_rows: int, workdir: Path
) -> Iterator[dict[str, np.ndarray]]:
    """What a cache keeps of a teacher, in blocks of rows, the same at every call.

    Args:
        kind: ``synthetic``, or ``real`` for I3D's maps; of these there are `NUM_REAL_VIEWS`, which
            are repeated with permuted channels.
        num_rows: rows in all.
        block_rows: rows of a block; the last may have fewer.
        workdir: where the real maps are kept.

    Yields:
        Arrays (rows, ...) by the names of `ROW_SHAPES`.
    """
    generator = np.random.default_rng(0)
    real = real_maps(workdir) if kind == "real" else None
    for start in range(0, num_rows, block_rows):
        rows = range(start, min(start + block_rows, num_rows))
        if real is None:
            maps = synthetic_maps(len(rows), generator)
        else:
            views = [real[row % len(real)] for row in rows]
            maps = np.stack([view[generator.permutation(len(view))] for view in views])
        yield {
            MAPS: maps,
            ATTENTION: np.square(maps, dtype=np.float32).mean(axis=(3, 4)).astype(np.float16),
            LOGITS: generator.standard_normal((len(rows), NUM_CLASSES), dtype=np.float32),
        }


def synthetic_maps(num_rows: int, generator: np.random.Generator) -> np.ndarray:
    """Rectified Gaussian fields, partly smooth, with a threshold and a scale for each channel."""
    # The channels are those of one teacher, whatever rows are asked for.
    channels = np.random.default_rng(1)
    shape = (MAP_SHAPE[0], 1, 1, 1)
    zeros = 1 / (1 + np.exp(-channels.normal(_ZEROS_LOGIT_MEAN, _ZEROS_LOGIT_STD, shape)))
    threshold = np.vectorize(NormalDist().inv_cdf)(zeros).astype(np.float32)
    scale = np.exp(channels.normal(0.0, _LOG_SCALE_STD, shape)).astype(np.float32)
    maps = np.empty((num_rows, *MAP_SHAPE), dtype=np.float16)
    for row in maps:
        coarse = generator.standard_normal((MAP_SHAPE[0], 4, 4, 4), dtype=np.float32)
        field = coarse.repeat(2, axis=1).repeat(2, axis=2)[:, :, :7].repeat(2, axis=3)[..., :7]
        field *= math.sqrt(_SMOOTH_SHARE)
        noise = generator.standard_normal(MAP_SHAPE, dtype=np.float32)
        field += math.sqrt(1 - _SMOOTH_SHARE) * noise
        row[:] = np.maximum(field - threshold, 0) * scale
    return maps


def real_maps(workdir: Path) -> np.ndarray:
    """Maps of a full-width I3D on random views of real clips, computed once: some minutes.

    The network has random weights, and batch-norm statistics of these very clips, without which its
    maps would fade away from layer to layer.

    Returns:
        (24, 1024, 8, 7, 7) float16.
    """
    path = workdir / "real_maps.npy"
    if not path.exists():
        workdir.mkdir(parents=True, exist_ok=True)
        np.save(path, _compute_real_maps())
    maps: np.ndarray = np.load(path)
    return maps


def _compute_real_maps() -> np.ndarray:
    import torch

    from featkd.models import I3D, PreprocessSpec, preprocess
    from featkd.types import Clip
    from featkd.video import TrainingViews, probe, render_clip

    shared = REPOSITORY / os.environ.get("FEATKD_SHARED", "../shared")
    folder = shared / "data/videos/known_label_clips"
    paths = sorted(path for path in folder.iterdir() if path.suffix != ".csv")
    torch.manual_seed(0)
    network = I3D(NUM_CLASSES)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm3d):
            module.momentum = None  # statistics are the mean over all calibrating views
    inputs = []
    for number in range(NUM_REAL_VIEWS):
        path = paths[number % len(paths)]
        info = probe(path)
        clip = Clip(path.name, path, 0, info.num_frames, info.width, info.height, info.fps)
        view = TrainingViews().draw(seed=0, clip=clip, view_index=number // len(paths))
        inputs.append(render_clip(clip, view, [224]).pixels[0])
    with torch.inference_mode():
        for pixels in inputs[:: NUM_REAL_VIEWS // _CALIBRATION_VIEWS]:
            network.features(preprocess(pixels[None], PreprocessSpec(), torch.device("cpu")))
        network.eval()
        return np.stack(
            [
                network.features(preprocess(pixels[None], PreprocessSpec(), torch.device("cpu")))[0]
                .half()
                .numpy()
                for pixels in inputs
            ]
        )


def describe(maps: np.ndarray) -> dict[str, object]:
    """Zeros and spread of maps, so that a reader of a record sees what was stored."""
    values = maps.astype(np.float32)
    by_channel = (values == 0).mean(axis=(0, 2, 3, 4))
    return {
        "zeros": round(float((values == 0).mean()), 3),
        "zeros_by_channel_p5_p50_p95": np.percentile(by_channel, (5, 50, 95)).round(2).tolist(),
        "std_of_log": round(float(np.log(values[values > 0]).std()), 2),
        "largest": round(float(values.max()), 1),
    }


def row_table(num_rows: int, frames_per_row: int = 16) -> pd.DataFrame:
    """A sample table: four views a video."""
    numbers = np.arange(num_rows)
    return pd.DataFrame(
        {
            "row": numbers,
            "video_id": [f"class_{number % 400:03d}/{number // 4:08d}" for number in numbers],
            "view_index": numbers % 4,
            "label": numbers % NUM_CLASSES,
            "split": "train",
            "frame_indices": list(numbers[:, None] % 200 + np.arange(frames_per_row)),
            "crop_box": list(np.tile([0.1, 0.0, 0.9, 1.0], (num_rows, 1))),
            "flip": numbers % 2 == 0,
        }
    )
