"""The teacher's small modules beside its cache: its classifier, and what `represent` learned."""

from typing import Literal

import torch
from pydantic import ValidationError
from torch import nn

from featkd.cache import CacheStore
from featkd.errors import CacheError, RequirementError
from featkd.models.i3d import LogitsHead
from featkd.representation import CVAE, build_attention_head
from featkd.training import RepresentationModules
from featkd.types import LinearClassifier, Spec

CLASSIFIER_MODULE = "teacher_classifier"
"""Name of the teacher's own classifier; the others are those of the representation."""


def save_classifier(store: CacheStore, classifier: LinearClassifier) -> None:
    """Put the teacher's classifier beside the cache."""
    state = {"weight": classifier.weight.cpu(), "bias": classifier.bias.cpu()}
    store.save_module(CLASSIFIER_MODULE, state, {"num_classes": len(classifier.bias)})


def load_classifier(store: CacheStore, device: torch.device) -> LinearClassifier:
    """The teacher's classifier, frozen.

    Raises:
        RequirementError: the cache has none; says which command adds it.
        CacheError: its file is damaged.
    """
    if CLASSIFIER_MODULE not in store.module_names():
        raise RequirementError(
            f"{store.location} lacks the teacher's classifier; run: featkd extract"
        )
    state = store.load_module(CLASSIFIER_MODULE).state_dict
    return LinearClassifier(state["weight"].to(device), state["bias"].to(device))


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
    names = [name for name in store.module_names() if name != CLASSIFIER_MODULE]
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
