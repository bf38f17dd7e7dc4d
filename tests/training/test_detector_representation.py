"""Attention heads, CVAEs and a detector learn from maps in a cache alone."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
import pandas as pd
import pytest
import torch
from torch.nn import functional as F

from featkd.cache import ArraySpec, MemoryStore
from featkd.detection.afsd import (
    DETECTOR_LAYERS,
    AFSDSpec,
    DetectionLossSpec,
    build_attention_heads,
    detection_terms,
)
from featkd.detection.checkpoint import DetectorCard
from featkd.detection.windows import TrainingWindow
from featkd.models import PreprocessSpec, layer_shapes
from featkd.representation import attended_feature, cvae_loss
from featkd.training import OptimiserSpec, seed_everything
from featkd.training.cached_maps import CachedMaps
from featkd.training.detection_specs import DetectorRepresentationSpec
from featkd.training.detector_representation import DetectorRepresentationTraining
from featkd.training.views import epoch_pairs
from featkd.training.window_targets import window_targets
from featkd.types import Silent

Item = TypeVar("Item")

NUM_ROWS = 6
CARD = DetectorCard(
    model=AFSDSpec(width=0.0625, num_levels=3),
    classes=("jump", "throw"),
    num_frames=32,
    sample_fps=10.0,
    crop_scale=1.0,
    preprocess=PreprocessSpec(size=32),
)
SHAPES = {
    layer: tuple(shape)
    for layer, shape in layer_shapes(
        CARD.build().backbone, CARD.input_shape, DETECTOR_LAYERS
    ).items()
}
WINDOWS = [
    TrainingWindow(
        video_id="a",
        offset=offset,
        segments=np.array([[4.0 + offset, 20.0], [22.0, 30.0]]),
        labels=np.array([1, 2]),
        shortest_action=8,
    )
    for offset in range(NUM_ROWS)
]


@pytest.fixture
def store() -> MemoryStore:
    rng = np.random.default_rng(0)
    rows = pd.DataFrame(
        {
            "row": range(NUM_ROWS),
            "video_id": [f"a@{row}" for row in range(NUM_ROWS)],
            "view_index": 0,
            "label": 0,
            "split": "train",
            "frame_indices": [[0]] * NUM_ROWS,
            "crop_box": [[0.0, 0.0, 1.0, 1.0]] * NUM_ROWS,
            "flip": False,
        }
    )
    store = MemoryStore(rows, part_rows=NUM_ROWS)
    arrays = [
        ArraySpec(name=f"features/{layer}.full", shape=shape, dtype="float32")
        for layer, shape in SHAPES.items()
    ]
    store.add_layer("teacher", arrays, {})
    values = {
        array.name: rng.random((NUM_ROWS, *array.shape), dtype=np.float32) for array in arrays
    }
    store.write_part("teacher", 0, values, {}, {})
    return store


@pytest.fixture
def make(store: MemoryStore) -> Callable[..., DetectorRepresentationTraining]:
    def make(seed=0, num_epochs=2, batch_size=2, **settings):
        seed_everything(seed)
        detector = CARD.build().detector
        heads = build_attention_heads("paper", SHAPES, 32)
        return DetectorRepresentationTraining(
            maps=CachedMaps(
                store=store,
                layers=DETECTOR_LAYERS,
                samples=range(NUM_ROWS),
                row_of=lambda sample, _: sample,
                num_views=1,
                batch_size=batch_size,
                seed=seed,
            ),
            attention_heads=heads,
            detector=detector,
            rescale="norm",
            shapes=SHAPES,
            windows=WINDOWS,
            spec=DetectorRepresentationSpec(
                num_epochs=num_epochs, batch_size=batch_size, **settings
            ),
            losses=DetectionLossSpec(),
            device=torch.device("cpu"),
            seed=seed,
        )

    return make


def weights(training: DetectorRepresentationTraining) -> dict[str, torch.Tensor]:
    parts = {
        "heads": training.attention_heads, "cvaes": training.cvaes, "detector": training.detector,
    }  # fmt: skip
    return {
        f"{name}.{key}": value.clone()
        for name, part in parts.items()
        for key, value in part.state_dict().items()
    }


def test_run__moves_heads_cvaes_and_detector(tmp_path: Path, make) -> None:
    training = make()
    before = weights(training)
    training.run(tmp_path, settings="a", progress=Silent())
    moved = {name for name, value in weights(training).items() if not value.equal(before[name])}
    assert {name.split(".")[0] for name in moved} == {"heads", "cvaes", "detector"}
    for layer in DETECTOR_LAYERS:
        assert any(name.startswith(f"heads.{layer}") for name in moved)
        assert any(name.startswith(f"cvaes.{layer}") for name in moved)


def test_run__first_step_against_the_equations(tmp_path: Path, make) -> None:
    """One step of all rows, the CVAEs standing still: the losses are those of the paper."""
    still = OptimiserSpec(kind="sgd", learning_rate=1e-30, weight_decay=0.0)
    training = make(num_epochs=1, batch_size=NUM_ROWS, ramp_epochs=4, cvae_optimiser=still)
    other = make(num_epochs=1, batch_size=NUM_ROWS)
    training.run(tmp_path, settings="a", progress=Silent())
    logged = json.loads((tmp_path / "metrics.jsonl").read_text())

    seed_everything(0, 1)
    noise = torch.Generator().manual_seed(torch.initial_seed())
    order = [int(row) for row in _order(training)]
    maps = {
        layer: training.maps.store.read_rows(f"features/{layer}.full", order).float()
        for layer in DETECTOR_LAYERS
    }
    with torch.no_grad():
        attention = {layer: other.attention_heads[layer](maps[layer]) for layer in DETECTOR_LAYERS}
        for layer in DETECTOR_LAYERS:
            channels, time = maps[layer].shape[1:3]
            drawn = torch.randn((NUM_ROWS, time, channels), generator=noise)
            made = other.cvaes[layer].reconstruct(maps[layer], attention[layer], drawn)
            loss = cvae_loss(made.features, maps[layer], *made.posterior, attention[layer], 0.1)
            assert logged[f"train.cvae_recon_{layer}"] == pytest.approx(float(loss.reconstruction))
            assert logged[f"train.cvae_kl_{layer}"] == pytest.approx(float(loss.kl))
        attended = {
            layer: attended_feature(maps[layer], attention[layer]) for layer in DETECTOR_LAYERS
        }
        windows = [WINDOWS[row] for row in order]
        targets = window_targets(windows, other.detector.priors, torch.device("cpu"))
        terms = detection_terms(
            other.detector(attended), targets.assignment, targets.maps, DetectionLossSpec()
        )
        total = float(terms.total)
        for name, value in terms.unweighted().items():
            assert logged[f"train.{name}"] == pytest.approx(float(value), rel=1e-5), name
        for layer in DETECTOR_LAYERS:
            channels, time = maps[layer].shape[1:3]
            drawn = torch.randn((NUM_ROWS, time, channels), generator=noise)
            made = other.cvaes[layer].generate(attention[layer], drawn)
            value = float(F.mse_loss(made, maps[layer]))
            assert logged[f"train.recon_{layer}"] == pytest.approx(value)
            total += 0.5 / 4 * value
    assert logged["train.loss"] == pytest.approx(total, rel=1e-5)


def test_run__stopped_and_resumed_equals_uninterrupted(
    tmp_path: Path, make, interrupted_after
) -> None:
    whole = make()
    whole.run(tmp_path / "whole", settings="a", progress=Silent())
    with interrupted_after(4) as progress:
        make().run(tmp_path / "cut", settings="a", progress=progress)
    resumed = make()
    resumed.run(tmp_path / "cut", settings="a", progress=Silent())
    for name, value in weights(whole).items():
        assert torch.equal(weights(resumed)[name], value), name


def _order(training: DetectorRepresentationTraining) -> list[int]:
    pairs = epoch_pairs(training.maps.samples, num_views=1, epoch=1, seed=training.seed)
    return [sample for sample, _ in pairs]
