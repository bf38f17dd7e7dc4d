"""Published checkpoints of AFSD and of generative distillation for detection, under our names.

Two layouts are known:

- AFSD's (TencentYoutuResearch/ActionDetection-AFSD, the variant for THUMOS14): an I3D below
  ``backbone._model.`` and the detector below ``coarse_pyramid_detection.``;
- the paper's (aaai-24/Generative-based-KD, detection): the same, of I3D or Top-I3D, with the
  released attention head of both maps beside it.

A convolution is one level deeper there (``loc_head.conv1d.weight``), and each level of the pyramid
has a scale of its own, which here are one tensor. Apart from the scales every tensor is the same.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import torch
from torch import Tensor

from featkd.detection.afsd.network import AFSD
from featkd.errors import CheckpointError
from featkd.models import MatchReport, load_weights, read_state_file

_BACKBONE = "backbone._model."
_DETECTOR = "coarse_pyramid_detection."
_WRAPPER = re.compile(r"\.conv[13]d(?=\.(?:weight|bias)$)")
_SCALE = re.compile(r"loc_heads\.(\d+)\.scale")
_SCALES = "detector.coarse.scales"

_LEVELS: Mapping[str, str] = MappingProxyType(
    {"0": "fine", "1": "coarse", **{str(level): f"halvings.{level - 2}" for level in range(2, 10)}}
)
_UNIT: Mapping[str, str] = MappingProxyType({"0": "convolution", "1": "norm"})
_BRANCHES: Mapping[str, str] = MappingProxyType(
    {"loc": "localisation_branch", "conf": "classification_branch"}
)
_BRANCH_UNITS: Mapping[str, str] = MappingProxyType(
    {"cur_point": "point", "lr": "boundary", "roi": "frame", "proposal": "joint"}
)
_HEADS: Mapping[str, str] = MappingProxyType(
    {
        "loc_head": "coarse.localisation",
        "conf_head": "coarse.classification",
        "prop_loc_head": "refinement.localisation",
        "prop_conf_head": "refinement.classification",
        "center_head": "refinement.quality",
    }
)
_ATTENTION: Mapping[str, str] = MappingProxyType(
    {
        "deconv1": "Mixed_5c.collapse",
        "deconv2": "Mixed_4f.collapse",
        "Att_Head_5c": "Mixed_5c.temporal",
        "Att_Head_4f": "Mixed_4f.temporal",
    }
)


@dataclass(frozen=True, slots=True)
class PublishedDetector:
    """Weights of a published detector.

    Attributes:
        state: tensors by the names of `AFSD`; what has no name of ours keeps its own.
        file_names: the file's name of each.
    """

    state: Mapping[str, Tensor]
    file_names: Mapping[str, str]


def load_published_detector(network: AFSD, path: Path) -> MatchReport:
    """Load a published checkpoint strictly into a detector of its architecture.

    Args:
        network: `RELEASED_STUDENT`, `RELEASED_TEACHER`, or either without attention heads, as the
            file has it.
        path: state dictionary.

    Raises:
        CheckpointError: missing, damaged, of another layout, or something is missing, left over or
            of another shape; names it.
    """
    published = translate_published(read_state_file(path).state, source=str(path))
    return load_weights(network, published.state, source=str(path), file_names=published.file_names)


def translate_published(state: Mapping[str, Tensor], *, source: str) -> PublishedDetector:
    """Give the weights of a published detector our names.

    Args:
        state: tensors by their names.
        source: where they come from, for the message.

    Raises:
        CheckpointError: the names are none of a published detector.
    """
    if not any(name.startswith(_DETECTOR) for name in state):
        raise CheckpointError(
            f"{source} has tensors such as {', '.join(list(state)[:3])}; expected those of a "
            f"published detector, whose names start with {_DETECTOR} and {_BACKBONE}"
        )
    scales: dict[int, Tensor] = {}
    ours: dict[str, Tensor] = {}
    file_names: dict[str, str] = {}
    for name, tensor in state.items():
        scale = _SCALE.fullmatch(name.removeprefix(_DETECTOR))
        if scale:
            scales[int(scale[1])] = tensor.reshape(1)
            file_names[_SCALES] = name
            continue
        new_name = _translate(name) or name
        ours[new_name], file_names[new_name] = tensor, name
    if scales:
        ours[_SCALES] = torch.cat([scales[level] for level in sorted(scales)])
    return PublishedDetector(ours, file_names)


def _translate(name: str) -> str | None:
    """Our name of a tensor; None where there is none."""
    if name.startswith(_BACKBONE):
        return f"backbone.{name.removeprefix(_BACKBONE)}"
    parts = _WRAPPER.sub("", name.removeprefix(_DETECTOR)).split(".")
    match parts:
        case ["pyramids", level, unit, kind] if level in _LEVELS and unit in _UNIT:
            return f"detector.pyramid.{_LEVELS[level]}.{_UNIT[unit]}.{kind}"
        case ["loc_tower" | "conf_tower" as tower, index, unit, kind] if unit in _UNIT:
            whose = "localisation" if tower == "loc_tower" else "classification"
            return f"detector.coarse.{whose}_tower.{index}.{_UNIT[unit]}.{kind}"
        case ["deconv", index, kind] if index.isdecimal() and int(index) % 3 < 2:
            # Convolution, norm and activation of each unit stand in a row.
            layer, place = divmod(int(index), 3)
            return f"detector.frame_feature.layers.{layer}.{_UNIT[str(place)]}.{kind}"
        case [head, kind] if head in _HEADS:
            return f"detector.{_HEADS[head]}.{kind}"
        case [branch, convolution, unit, kind] if unit in _UNIT:
            return _branch_name(branch, convolution, _UNIT[unit], kind)
        case [module, index, kind] if module in _ATTENTION:
            inner = _UNIT.get(index) if module.startswith("deconv") else index
            return inner and f"attention_heads.{_ATTENTION[module]}.{inner}.{kind}"
    return None


def _branch_name(branch: str, convolution: str, unit: str, kind: str) -> str | None:
    whose = _BRANCHES.get(branch.removesuffix("_proposal_branch"))
    which = _BRANCH_UNITS.get(convolution.removesuffix("_conv"))
    return whose and which and f"detector.refinement.{whose}.{which}.{unit}.{kind}"
