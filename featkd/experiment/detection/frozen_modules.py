"""Modules beside a cache for detection: the teacher's detector, and what `represent` learned."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from pydantic import PositiveInt, ValidationError
from torch import nn

from featkd.cache import CacheStore
from featkd.cache.store import SavedModule
from featkd.detection.afsd import Detector
from featkd.detection.checkpoint import DetectorCard
from featkd.errors import CacheError, RequirementError
from featkd.representation import CVAE, AttentionHeadKind, build_attention_head
from featkd.types import Spec

TEACHER_DETECTOR = "teacher_detector"
"""The teacher's own detector; extraction puts it beside the cache."""

ATTENTION_HEADS = "attention_heads"
CVAES = "cvaes"
REPRESENTATION_DETECTOR = "representation_detector"
"""The detector that learned to read attended maps."""


class DetectorArguments(Spec):
    """What it takes to build a detector without its backbone again."""

    card: DetectorCard
    """Of the network that it belongs to."""


class DetectionModuleArguments(DetectorArguments):
    """What it takes to build the modules of a representation again."""

    attention_head: AttentionHeadKind
    attention_hidden: PositiveInt | None = None
    """Channels inside the heads; default: half of each layer's."""
    shapes: dict[str, tuple[int, int, int, int]]
    """Layer to (C, T, H, W) of its maps."""
    cvae_hidden: PositiveInt | None
    """Width inside the CVAEs; default: each layer's channels."""


@dataclass(frozen=True)
class DetectionModules:
    """What a representation for detection consists of.

    Attributes:
        attention_heads: by layer.
        cvaes: by layer.
        detector: reads attended maps.
    """

    attention_heads: nn.ModuleDict
    cvaes: nn.ModuleDict
    detector: Detector

    def items(self) -> Mapping[str, nn.Module]:
        """By the names they have beside a cache."""
        return {
            ATTENTION_HEADS: self.attention_heads,
            CVAES: self.cvaes,
            REPRESENTATION_DETECTOR: self.detector,
        }

    def cvae_of(self) -> dict[str, CVAE]:
        """The CVAEs as `featkd.detection.distillation.DetectionSignal` has them."""
        return {layer: cvae for layer, cvae in self.cvaes.items() if isinstance(cvae, CVAE)}


def build_detection_modules(arguments: DetectionModuleArguments) -> DetectionModules:
    """Untrained modules."""
    heads, cvaes = nn.ModuleDict(), nn.ModuleDict()
    for layer, shape in arguments.shapes.items():
        heads[layer] = build_attention_head(
            arguments.attention_head, shape, arguments.attention_hidden
        )
        channels, _, height, width = shape
        cvaes[layer] = CVAE(channels, (height, width), arguments.cvae_hidden)
    return DetectionModules(heads, cvaes, arguments.card.build().detector)


def save_detection_modules(
    store: CacheStore, modules: DetectionModules, arguments: DetectionModuleArguments
) -> None:
    """Put a trained representation beside the cache."""
    for name, module in modules.items().items():
        _save(store, name, module, arguments)


def load_detection_modules(store: CacheStore, device: torch.device) -> DetectionModules:
    """The representation of a cache, frozen, in evaluation mode.

    Raises:
        RequirementError: the cache has none; says which command adds it.
        CacheError: its files are damaged.
    """
    names = (ATTENTION_HEADS, CVAES, REPRESENTATION_DETECTOR)
    saved = {name: _saved(store, name, "featkd represent") for name in names}
    try:
        arguments = DetectionModuleArguments.model_validate(saved[ATTENTION_HEADS].arguments)
        modules = build_detection_modules(arguments)
        for name, module in modules.items().items():
            _fill(module, saved[name], device)
    except (ValidationError, RuntimeError) as error:
        raise CacheError(
            f"the frozen modules of {store.location} are damaged or incomplete "
            f"({_first_problem(error)}); "
            "train them again: featkd represent"
        ) from error
    return modules


def save_teacher_detector(store: CacheStore, detector: Detector, card: DetectorCard) -> None:
    """Put the teacher's detector beside the cache."""
    _save(store, TEACHER_DETECTOR, detector, DetectorArguments(card=card))


def load_teacher_detector(store: CacheStore, device: torch.device) -> Detector:
    """The teacher's detector, frozen, in evaluation mode.

    Raises:
        RequirementError: the cache has none; says which command adds it.
        CacheError: its file is damaged.
    """
    saved = _saved(store, TEACHER_DETECTOR, "featkd extract")
    try:
        detector = DetectorArguments.model_validate(saved.arguments).card.build().detector
        _fill(detector, saved, device)
    except (ValidationError, RuntimeError) as error:
        raise CacheError(
            f"module {TEACHER_DETECTOR} of {store.location} is damaged ({_first_problem(error)}); "
            "put it right: featkd cache repair"
        ) from error
    return detector


def _save(store: CacheStore, name: str, module: nn.Module, arguments: DetectorArguments) -> None:
    state = {key: value.cpu() for key, value in module.state_dict().items()}
    store.save_module(name, state, arguments.model_dump(mode="json"))


def _saved(store: CacheStore, name: str, command: str) -> SavedModule:
    if name not in store.module_names():
        raise RequirementError(f"{store.location} lacks module {name}; run: {command}")
    return store.load_module(name)


def _fill(module: nn.Module, saved: SavedModule, device: torch.device) -> None:
    module.load_state_dict(saved.state_dict)
    module.eval().requires_grad_(requires_grad=False).to(device)


def _first_problem(error: Exception) -> str:
    return " ".join(" ".join(str(error).splitlines()[:2]).split())
