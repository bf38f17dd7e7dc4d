"""Modules beside a cache for detection come back as they were, frozen, or say what is missing."""

from pathlib import Path

import pytest
import torch

from featkd.cache import FolderStore
from featkd.detection.afsd import AFSDSpec
from featkd.detection.checkpoint import DetectorCard
from featkd.errors import CacheError, RequirementError
from featkd.experiment.detection.frozen_modules import (
    DetectionModuleArguments,
    build_detection_modules,
    load_detection_modules,
    load_teacher_detector,
    save_detection_modules,
    save_teacher_detector,
)
from featkd.experiment.workspace import row_table
from featkd.models import PreprocessSpec, layer_shapes, place
from featkd.types import Clip
from featkd.video import TrainingViews

CPU = torch.device("cpu")
CARD = DetectorCard(
    model=AFSDSpec(width=0.0625, num_levels=3),
    classes=("jump", "throw"),
    num_frames=32,
    sample_fps=10.0,
    crop_scale=1.0,
    preprocess=PreprocessSpec(size=32),
)


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    clip = Clip(
        video_id="a", path=Path("a.mp4"), label=0, num_frames=40, width=8, height=8, fps=10.0
    )
    rows = row_table([clip], "train", TrainingViews(num_frames=4), 0, range(1))
    with FolderStore.create(tmp_path / "cache", rows, part_rows=1, backend="zarr") as store:
        yield store


def arguments() -> DetectionModuleArguments:
    network = CARD.build()
    shapes = layer_shapes(network.backbone, CARD.input_shape, ("Mixed_4f", "Mixed_5c"))
    return DetectionModuleArguments(
        card=CARD, attention_head="released", attention_hidden=12, shapes=shapes, cvae_hidden=None
    )


def test_detection_modules__come_back_frozen(store: FolderStore) -> None:
    saved = build_detection_modules(arguments())
    save_detection_modules(store, saved, arguments())
    loaded = load_detection_modules(store, CPU)
    assert store.module_names() == ["attention_heads", "cvaes", "representation_detector"]
    for name, module in loaded.items().items():
        assert not module.training
        assert not any(parameter.requires_grad for parameter in module.parameters())
        expected = saved.items()[name].state_dict()
        assert expected.keys() == module.state_dict().keys()
        for key, value in module.state_dict().items():
            assert torch.equal(value, expected[key]), key
    assert set(loaded.cvae_of()) == {"Mixed_4f", "Mixed_5c"}
    maps = {
        layer: torch.randn(2, *shape) for layer, shape in arguments().shapes.items()
    }  # fmt: skip
    for layer, head in loaded.attention_heads.items():
        assert head(maps[layer]).shape == maps[layer].shape[:3]
    assert loaded.detector(maps).coarse_logits.shape == (2, 14, 3)


def test_teacher_detector__comes_back_as_it_answers(store: FolderStore) -> None:
    network = place(CARD.build(), CPU).eval()
    save_teacher_detector(store, network.detector, CARD)
    clip = torch.randn(1, *CARD.input_shape)
    output = network(clip)
    again = load_teacher_detector(store, CPU)(output.features)
    assert torch.equal(again.refined_logits, output.detections.refined_logits)


def test_modules__missing_ones_name_the_command(store: FolderStore) -> None:
    with pytest.raises(RequirementError, match=r"lacks module teacher_detector; run: .* extract"):
        load_teacher_detector(store, CPU)
    with pytest.raises(RequirementError, match=r"lacks module attention_heads; run: .* represent"):
        load_detection_modules(store, CPU)


def test_modules__of_another_network_are_refused(store: FolderStore) -> None:
    wider = CARD.model_copy(update={"model": AFSDSpec(width=0.125, num_levels=3)})
    save_teacher_detector(store, wider.build().detector, CARD)
    with pytest.raises(
        CacheError, match=r"teacher_detector of .* is damaged .* featkd cache repair"
    ):
        load_teacher_detector(store, CPU)
    save_detection_modules(store, build_detection_modules(arguments()), arguments())
    store.save_module("cvaes", {"a": torch.zeros(1)}, {})
    with pytest.raises(CacheError, match=r"damaged or incomplete .* featkd represent"):
        load_detection_modules(store, CPU)
