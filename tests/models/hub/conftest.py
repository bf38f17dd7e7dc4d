"""Foreign models in miniature."""

from collections.abc import Callable

import pytest
import torch
from pydantic import TypeAdapter
from torch import Tensor

from featkd.models import HubClassifier, HubSpec, NetworkSpec, resolve_spec

SHAPE = (3, 8, 32, 32)
NUM_CLASSES = 5


def read_spec(**settings: object) -> HubSpec:
    spec: NetworkSpec = TypeAdapter(NetworkSpec).validate_python(settings)
    resolved = resolve_spec(spec)
    assert isinstance(resolved, HubSpec)
    return resolved


def build_miniature(shown: tuple[str, ...] = (), /, **settings: object) -> HubClassifier:
    torch.manual_seed(0)
    return HubClassifier(read_spec(**settings), NUM_CLASSES, SHAPE, layers=shown).eval()


@pytest.fixture(scope="session")
def spec_of() -> Callable[..., HubSpec]:
    """The spec that a recipe's section describes, resolved."""
    return read_spec


@pytest.fixture(scope="session")
def build() -> Callable[..., HubClassifier]:
    """A network for clips of 8 frames of 32x32 pixels and 5 classes, showing some layers."""
    return build_miniature


@pytest.fixture
def clips() -> Tensor:
    """Two of them."""
    return torch.randn(2, *SHAPE, generator=torch.Generator().manual_seed(1))
