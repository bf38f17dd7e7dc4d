"""Models that a function of the user's own builds."""

import sys
from collections.abc import Callable
from types import ModuleType, SimpleNamespace

import pytest
from pydantic import ValidationError
from torch import Tensor, nn

from featkd.errors import ModelError
from featkd.models import HubClassifier, HubSpec

Build = Callable[..., HubClassifier]
ReadSpec = Callable[..., HubSpec]


class VideoNet(nn.Module):
    def __init__(self, num_classes: int, width: int) -> None:
        super().__init__()
        self.layer4 = nn.Sequential(nn.Conv3d(3, 2 * width, (2, 4, 4), (2, 4, 4)), nn.ReLU())
        self.fc = nn.Linear(2 * width, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.fc(self.layer4(x).mean(dim=(2, 3, 4)))
        return logits


def small_net(num_classes: int, width: int = 4) -> nn.Module:
    return VideoNet(num_classes, width)


def returns_no_module(num_classes: int) -> object:
    return SimpleNamespace(num_classes=num_classes)


def takes_no_classes(width: int) -> nn.Module:
    return VideoNet(5, width)


def registered(monkeypatch: pytest.MonkeyPatch) -> str:
    """This module under a name of its own, as an installed package would have."""
    module = ModuleType("installed_zoo")
    for function in (small_net, returns_no_module, takes_no_classes):
        monkeypatch.setattr(function, "__module__", "installed_zoo")
        setattr(module, function.__name__, function)
    module.imported = nn.Linear  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "installed_zoo", module)
    return "installed_zoo"


def test_factory__builds_what_the_function_gives(
    monkeypatch: pytest.MonkeyPatch, build: Build, clips: Tensor
) -> None:
    zoo = registered(monkeypatch)
    network = build(
        ("last",),
        name="factory",
        target=f"{zoo}:small_net",
        arguments={"width": 3},
        layers={"last": "layer4"},
        classifier="fc",
        classifier_reads_mean=True,
    )  # fmt: skip
    assert network(clips).features["last"].shape == (2, 6, 4, 8, 8)
    assert network.linear() is not None


@pytest.mark.parametrize(
    ("target", "words"),
    [
        pytest.param("no_such_package:f", "cannot be imported", id="package"),
        pytest.param("installed_zoo:nothing", "cannot be imported", id="function"),
        pytest.param("installed_zoo:imported", "is no function of installed_zoo", id="imported"),
        pytest.param("os:system", "is no function of os", id="system"),
        pytest.param("installed_zoo:takes_no_classes", "num_classes", id="not written for this"),
        pytest.param("installed_zoo:returns_no_module", "expected a torch module", id="no module"),
    ],
)
def test_factory__what_is_none_is_not_called(
    monkeypatch: pytest.MonkeyPatch, target: str, words: str, build: Build
) -> None:
    registered(monkeypatch)
    with pytest.raises(ModelError, match=words):
        build(name="factory", target=target)


@pytest.mark.parametrize("target", ["__import__('os').system('x')", "a.b", "a:b.c", "a:b()", ""])
def test_factory__target_is_a_name(target: str, spec_of: ReadSpec) -> None:
    with pytest.raises(ValidationError, match="target"):
        spec_of(name="factory", target=target)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        pytest.param(lambda x: x, r"gives shape \(1, 3, 8, 32, 32\); expected logits", id="map"),
        pytest.param(lambda x: {"a": x}, "gives dict; expected logits", id="dict"),
        pytest.param(lambda x: x[:, :, 0, 0, 0], r"\(1, 3\).*expected \(1, 5\), one", id="classes"),
        pytest.param(lambda x: x.view(7), "cannot take clips of shape", id="fails"),
    ],
)
def test_factory__must_give_logits_of_all_classes(
    monkeypatch: pytest.MonkeyPatch,
    answer: Callable[[Tensor], object],
    words: str,
    build: Build,
) -> None:
    zoo = registered(monkeypatch)
    monkeypatch.setattr(VideoNet, "forward", lambda _self, x: answer(x))
    with pytest.raises(ModelError, match=words):
        build(name="factory", target=f"{zoo}:small_net")
