"""Adapters of torchvision and timm; modules of the same interface stand in for theirs."""

import sys
from collections.abc import Callable
from types import ModuleType

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from featkd.errors import ModelError
from featkd.models import HubClassifier, HubSpec

Build = Callable[..., HubClassifier]
ReadSpec = Callable[..., HubSpec]


class VideoResNet(nn.Module):
    """The interface of torchvision's video ResNets."""

    def __init__(self, num_classes: int, width: int = 4) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv3d(3, width, 3, (1, 2, 2), 1), nn.ReLU())
        self.layer4 = nn.Sequential(nn.Conv3d(width, 2 * width, 3, 2, 1), nn.ReLU())
        self.avgpool = nn.AdaptiveAvgPool3d(1)
        self.fc = nn.Linear(2 * width, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.avgpool(self.layer4(self.stem(x))).flatten(1))


class MViT(nn.Module):
    """The interface of torchvision's MViT: blocks take and give tokens with their grid."""

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(6, 6)

        def forward(
            self, x: Tensor, grid: tuple[int, int, int]
        ) -> tuple[Tensor, tuple[int, int, int]]:
            return self.linear(x), grid

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.conv_proj = nn.Conv3d(3, 6, (2, 8, 8), (2, 8, 8))
        self.blocks = nn.ModuleList([MViT.Block()])
        self.head = nn.Sequential(nn.Dropout(0.5), nn.Linear(6, num_classes))

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv_proj(x)
        grid = (x.shape[2], x.shape[3], x.shape[4])
        x = x.flatten(2).transpose(1, 2)
        x = torch.cat([x.mean(dim=1, keepdim=True), x], dim=1)
        for block in self.blocks:
            x, grid = block(x, grid)
        return self.head(x[:, 0])


class ImageNet(nn.Module):
    """The interface of timm's ResNets."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.layer4 = nn.Conv2d(3, 6, 8, 8)
        self.fc = nn.Linear(6, num_classes)

    def get_classifier(self) -> nn.Module:
        return self.fc

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.layer4(x).mean(dim=(2, 3)))


class ImageTransformer(nn.Module):
    """The interface of timm's vision transformers."""

    num_prefix_tokens = 1

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.patch_embed = nn.Conv2d(3, 6, 16, 16)
        self.patch_embed.patch_size = (16, 16)  # type: ignore[assignment]
        self.blocks = nn.Sequential(nn.Linear(6, 6))
        self.head = nn.Linear(6, num_classes)

    def get_classifier(self) -> nn.Module:
        return self.head

    def forward(self, x: Tensor) -> Tensor:
        x = self.patch_embed(x).flatten(2).transpose(1, 2)
        return self.head(self.blocks(torch.cat([x[:, :1], x], dim=1))[:, 0])


def stand_in(monkeypatch: pytest.MonkeyPatch, name: str, **contents: object) -> None:
    module = ModuleType(name)
    for key, value in contents.items():
        setattr(module, key, value)
    parts = name.split(".")
    for end in range(1, len(parts)):
        monkeypatch.setitem(sys.modules, ".".join(parts[:end]), ModuleType(parts[0]))
    monkeypatch.setitem(sys.modules, name, module)


def without_download(builder: Callable[..., nn.Module]) -> Callable[..., nn.Module]:
    def build_random(*, weights: object, **arguments: object) -> nn.Module:
        assert weights is None
        return builder(**arguments)

    return build_random


def test_torchvision__video_resnet(
    monkeypatch: pytest.MonkeyPatch, build: Build, clips: Tensor
) -> None:
    stand_in(monkeypatch, "torchvision.models.video", r3d_18=without_download(VideoResNet))
    network = build(
        ("Mixed_5c",),
        name="torchvision",
        architecture="r3d_18",
        arguments={"width": 6},
        layers={"Mixed_5c": "layer4"},
    )  # fmt: skip
    with torch.no_grad():
        output = network(clips)
    assert output.features["Mixed_5c"].shape == (2, 12, 4, 8, 8)
    assert output.classifier is not None
    pooled = output.features["Mixed_5c"].mean(dim=(2, 3, 4))
    torch.testing.assert_close(output.classifier(pooled), output.logits)
    assert network.classifier_names() == ("backbone.model.fc.weight", "backbone.model.fc.bias")


def test_torchvision__mvit(monkeypatch: pytest.MonkeyPatch, build: Build, clips: Tensor) -> None:
    stand_in(monkeypatch, "torchvision.models.video", mvit_v2_s=without_download(MViT))
    network = build(
        ("last",),
        name="torchvision",
        architecture="mvit_v2_s",
        layers={"last": "blocks.0"},
    )
    with torch.no_grad():
        output = network(clips)
    assert output.features["last"].shape == (2, 6, 4, 4, 4)
    assert output.classifier is None
    assert len(network.classifier_names()) == 2


def test_torchvision__unknown_or_absent(monkeypatch: pytest.MonkeyPatch, build: Build) -> None:
    with pytest.raises(ModelError, match="'resnet18', no video model"):
        build(name="torchvision", architecture="resnet18")
    stand_in(monkeypatch, "torchvision.models.video", r3d_18=without_download(VideoResNet))
    with pytest.raises(ModelError, match="which torchvision does not have"):
        build(name="torchvision", architecture="r3d_34")
    with pytest.raises(ModelError, match="refuses its arguments"):
        build(name="torchvision", architecture="r3d_18", arguments={"depth": 3})
    monkeypatch.setitem(sys.modules, "torchvision.models.video", None)
    with pytest.raises(ModelError, match=r"torchvision cannot be imported .*\[hub\]"):
        build(name="torchvision", architecture="r3d_18")


def test_torchvision__the_real_one(build: Build, clips: Tensor) -> None:
    try:
        import torchvision  # noqa: F401
    except (ImportError, RuntimeError) as error:
        pytest.skip(f"torchvision cannot be imported beside this torch: {error}")
    for architecture, layer in (("r3d_18", "layer4"), ("mc3_18", "layer3")):
        network = build(
            ("last",),
            name="torchvision",
            architecture=architecture,
            layers={"last": layer},
        )
        assert network(clips[:1]).features["last"].ndim == 5


@pytest.mark.parametrize(
    ("model", "layer", "shape"),
    [(ImageNet, "layer4", (6, 8, 4, 4)), (ImageTransformer, "blocks.0", (6, 8, 2, 2))],
)
def test_timm__every_frame_by_itself(
    monkeypatch: pytest.MonkeyPatch,
    model: type[nn.Module],
    layer: str,
    shape: tuple[int, int, int, int],
    build: Build,
    clips: Tensor,
) -> None:
    def create_model(name: str, *, pretrained: bool, num_classes: int) -> nn.Module:
        assert (name, pretrained) == ("resnet18", False)
        return model(num_classes)

    stand_in(monkeypatch, "timm", create_model=create_model)
    settings = {
        "name": "timm", "architecture": "resnet18", "layers": {"last": layer},
        "classifier_reads_mean": model is ImageNet,
    }  # fmt: skip
    network = build(("last",), **settings)
    with torch.no_grad():
        output = network(clips)
        frames = [network.backbone.model(clips[:, :, t]) for t in range(8)]
    torch.testing.assert_close(output.logits, torch.stack(frames).mean(dim=0))
    features = output.features["last"]
    assert tuple(features.shape[1:]) == shape
    if model is ImageNet:
        assert output.classifier is not None
        pooled = features.mean(dim=(2, 3, 4))
        torch.testing.assert_close(output.classifier(pooled), output.logits)
    else:
        assert output.classifier is None


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        pytest.param({"architecture": "hf-hub:a/b"}, "architecture", id="address"),
        pytest.param(
            {"architecture": "x", "arguments": {"pretrained": True}}, "weights", id="fetch"
        ),
        pytest.param(
            {"architecture": "x", "arguments": {"num_classes": 3}}, "manifest", id="classes"
        ),
    ],
)
def test_spec__nothing_is_fetched(
    settings: dict[str, object], words: str, spec_of: ReadSpec
) -> None:
    for name in ("timm", "torchvision"):
        with pytest.raises(ValidationError, match=words):
            spec_of(name=name, **settings)
