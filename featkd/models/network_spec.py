"""Which network a recipe or a card means: one of the I3D family, or a model from elsewhere."""

from collections.abc import Sequence
from typing import Annotated

from pydantic import Discriminator, Tag

from featkd.models.classifier import ModelSpec, VideoClassifier
from featkd.models.hub import (
    FactorySpec,
    HubSpec,
    HuggingFaceSpec,
    TimmSpec,
    TorchvisionSpec,
)
from featkd.models.hub_classifier import HubClassifier

Network = VideoClassifier | HubClassifier

FAMILY_TAG = "(I3D family)"
_HUB = ("torchvision", "huggingface", "timm", "factory")


def tag_of(value: object) -> str:
    """Which kind of spec a value is or describes; one that says nothing is of the I3D family."""
    name = value.get("name") if isinstance(value, dict) else getattr(value, "name", None)
    return f"({name})" if name in _HUB else FAMILY_TAG


NetworkSpec = Annotated[
    Annotated[ModelSpec, Tag(FAMILY_TAG)]
    | Annotated[TorchvisionSpec, Tag("(torchvision)")]
    | Annotated[HuggingFaceSpec, Tag("(huggingface)")]
    | Annotated[TimmSpec, Tag("(timm)")]
    | Annotated[FactorySpec, Tag("(factory)")],
    Discriminator(tag_of),
]


def resolve_spec(spec: NetworkSpec) -> NetworkSpec:
    """The same spec with everything in it that lies in other files.

    Raises:
        ModelError: such a file cannot be read.
    """
    return spec.resolved() if isinstance(spec, HuggingFaceSpec) else spec


def build_network(
    spec: NetworkSpec,
    num_classes: int,
    input_shape: tuple[int, int, int, int],
    *,
    layers: Sequence[str] = (),
) -> Network:
    """Build an untrained network.

    Args:
        spec: which one, resolved.
        num_classes: K.
        input_shape: (C, T, H, W) it will be fed.
        layers: inner layers to hand out.

    Raises:
        ModelError: it cannot be built, or lacks one of the layers.
    """
    if isinstance(spec, HubSpec):
        return HubClassifier(spec, num_classes, input_shape, layers=layers)
    return VideoClassifier(spec, num_classes, input_shape, layers=layers)
