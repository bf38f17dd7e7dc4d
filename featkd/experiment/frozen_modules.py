"""The teacher's small modules beside its cache: saved by `represent`, loaded by distillers."""

from typing import Literal

import torch
from pydantic import ValidationError
from torch import nn

from featkd.cache import CacheStore
from featkd.errors import CacheError
from featkd.models.i3d import LogitsHead
from featkd.representation import CVAE, build_attention_head
from featkd.training import RepresentationModules
from featkd.types import Spec


class ModuleArguments(Spec):
    """What it takes to build the three modules again."""

    layer: str
    attention_head: Literal["paper", "released"]
    shape: tuple[int, int, int, int]
    """(C, T, H, W) of the layer."""
    cvae_hidden: int | None
    num_classes: int


def build_modules(arguments: ModuleArguments) -> RepresentationModules:
    """Untrained modules."""
    channels, _, height, width = arguments.shape
    return RepresentationModules(
        attention_head=build_attention_head(arguments.attention_head, arguments.shape),
        cvae=CVAE(channels, (height, width), arguments.cvae_hidden),
        classifier=LogitsHead(channels, arguments.num_classes, dropout=0.0),
    )


def save_frozen_modules(
    store: CacheStore, modules: RepresentationModules, arguments: ModuleArguments
) -> None:
    """Put trained modules beside the cache."""
    for name, module in modules.items().items():
        state = {key: value.cpu() for key, value in module.state_dict().items()}
        store.save_module(name, state, arguments.model_dump(mode="json"))


def load_frozen_modules(store: CacheStore, device: torch.device) -> dict[str, nn.Module]:
    """Modules of a cache by name, frozen, in evaluation mode; none where there are none.

    Raises:
        CacheError: their files are damaged.
    """
    names = store.module_names()
    if not names:
        return {}
    saved = {name: store.load_module(name) for name in names}
    try:
        arguments = ModuleArguments.model_validate(saved["attention_head"].arguments)
        modules = build_modules(arguments).items()
        for name, module in modules.items():
            module.load_state_dict(saved[name].state_dict)
    except (KeyError, ValidationError, RuntimeError) as error:
        raise CacheError(
            f"the frozen modules of {store.location} are damaged or incomplete ({error}); "
            "train them again: featkd represent"
        ) from error
    return {
        name: module.eval().requires_grad_(requires_grad=False).to(device)
        for name, module in modules.items()
    }
