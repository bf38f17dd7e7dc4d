from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor
from torch.nn import functional as F

from featkd.errors import ModelError
from featkd.models import (
    ModelSpec,
    NetworkCard,
    PreprocessSpec,
    Projector,
    ProjectorSpec,
    ReusedClassifierSpec,
    VideoClassifier,
    load_network,
    save_network,
)
from featkd.types import LinearClassifier


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


@pytest.mark.parametrize("temporal_kernel", [1, 3])
def test_projector__against_its_layers_by_hand(temporal_kernel: int) -> None:
    spec = ProjectorSpec(reduction=4, temporal_kernel=temporal_kernel)
    projector = Projector(6, 8, spec).double()
    maps = torch.randn(2, 6, 3, 4, 4, dtype=torch.float64)
    expected = maps
    padding = temporal_kernel // 2
    weights = [parameter for parameter in projector.parameters() if parameter.ndim == 5]
    for weight, sides in zip(weights, ((0, 0, 0), (padding, 1, 1), (0, 0, 0)), strict=True):
        expected = F.conv3d(expected, weight, padding=sides)
        mean = expected.mean(dim=(0, 2, 3, 4), keepdim=True)
        variance = expected.var(dim=(0, 2, 3, 4), keepdim=True, correction=0)
        expected = ((expected - mean) / (variance + 1e-5).sqrt()).clamp(min=0)
    torch.testing.assert_close(projector(maps), expected)
    assert [tuple(weight.shape) for weight in weights] == [
        (2, 6, 1, 1, 1),
        (2, 2, temporal_kernel, 3, 3),
        (8, 2, 1, 1, 1),
    ]


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (None, (4, 6, 6)),
        ((4, 6, 6), (4, 6, 6)),
        ((2, 3, 2), (2, 3, 2)),
        ((8, 3, 9), (4, 3, 6)),
    ],
)
def test_projector__pools_what_is_larger(
    size: tuple[int, int, int] | None, expected: tuple[int, int, int]
) -> None:
    projector = Projector(6, 8, ProjectorSpec(), size=size)
    maps = torch.rand(2, 6, 4, 6, 6)
    projected = projector(maps)
    assert projected.shape == (2, 8, *expected)
    pooled = F.adaptive_avg_pool3d(maps, expected)
    torch.testing.assert_close(projected, projector.layers(pooled))


def test_projector__takes_a_map_folded_over_time_alike() -> None:
    projector = Projector(6, 8, ProjectorSpec(), size=(2, 2, 2))
    maps = torch.rand(3, 6, 2, 4, 4)
    folded = projector(maps.transpose(1, 2).flatten(0, 1).unsqueeze(2))
    expected = folded.squeeze(2).unflatten(0, (3, 2)).transpose(1, 2)
    torch.testing.assert_close(projector(maps), expected, rtol=1e-4, atol=1e-5)


SPEC = ModelSpec(width=0.0625, reused_classifier=ReusedClassifierSpec(channels=20, size=(1, 1, 1)))


def build() -> tuple[VideoClassifier, LinearClassifier]:
    network = VideoClassifier(SPEC, 5, (3, 16, 64, 64))
    classifier = LinearClassifier(torch.randn(5, 20), torch.randn(5))
    network.reuse_classifier(classifier)
    return network, classifier


def clips() -> Tensor:
    return torch.randn(2, 3, 16, 64, 64, generator=torch.Generator().manual_seed(1))


def test_video_classifier__reads_the_projected_map_with_the_teachers_classifier() -> None:
    network, classifier = build()
    output = network(clips())
    assert output.features["Mixed_5c"].shape == (2, 64, 2, 2, 2)
    assert output.projected is not None
    assert output.projected.shape == (2, 20, 1, 1, 1)
    torch.testing.assert_close(output.logits, classifier(output.projected.flatten(1)))
    assert output.classifier is not None
    torch.testing.assert_close(output.classifier.weight, classifier.weight)


def test_video_classifier__keeps_the_teachers_classifier_in_training() -> None:
    network, classifier = build()
    optimiser = torch.optim.SGD(network.parameters(), lr=0.1, weight_decay=0.1)
    network(clips()).logits.square().sum().backward()
    optimiser.step()
    own = network.backbone.logits.linear()
    assert torch.equal(own.weight, classifier.weight)
    assert torch.equal(own.bias, classifier.bias)


def test_video_classifier__is_saved_with_projector_and_classifier(tmp_path: Path) -> None:
    network, _ = build()
    card = NetworkCard(
        model=SPEC, classes=tuple("abcde"), num_frames=16, preprocess=PreprocessSpec(size=64)
    )
    path = tmp_path / "model.safetensors"
    save_network(path, network, card)
    loaded_card, loaded = load_network(path)
    assert loaded_card == card
    torch.testing.assert_close(loaded(clips()).logits, network.eval()(clips()).logits)


def test_reuse_classifier__that_does_not_fit() -> None:
    network, _ = build()
    with pytest.raises(ModelError, match=r"\(5, 20\).*\(5, 21\)"):
        network.reuse_classifier(LinearClassifier(torch.zeros(5, 21), torch.zeros(5)))
    plain = VideoClassifier(ModelSpec(width=0.0625), 5, (3, 16, 64, 64))
    with pytest.raises(ModelError, match="without a projector"):
        plain.reuse_classifier(LinearClassifier(torch.zeros(5, 64), torch.zeros(5)))


def test_model_spec__one_head() -> None:
    with pytest.raises(ValidationError, match="one of them"):
        ModelSpec(attention_head="paper", reused_classifier=ReusedClassifierSpec(channels=20))


@pytest.mark.parametrize("setting", [{"channels": 0}, {"channels": 9, "size": (0, 1, 1)}])
def test_reused_classifier_spec__wrong_setting(setting: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match="greater than"):
        ReusedClassifierSpec.model_validate(setting)
