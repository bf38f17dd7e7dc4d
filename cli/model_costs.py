"""What the members of the I3D family cost."""

from typing import NamedTuple

import torch

from featkd.evaluation import measure_cost
from featkd.models import ModelSpec, VideoClassifier

_FAMILY = (
    ModelSpec(name="i3d"),
    ModelSpec(name="top_i3d"),
    ModelSpec(name="top_i3d", attention_head="paper"),
    ModelSpec(name="top_i3d", attention_head="released"),
    ModelSpec(name="bottom_i3d"),
    ModelSpec(name="i2d"),
)


class ModelCost(NamedTuple):
    """A network with its cost for one clip."""

    model: str
    attention_head: str | None
    parameters: int
    gmac: float


def measure_family(
    input_shape: tuple[int, int, int, int], num_classes: int, width: float
) -> list[ModelCost]:
    """Cost of each network of the family.

    Args:
        input_shape: (C, T, H, W) of a clip.
        num_classes: K.
        width: multiplies channel counts.
    """
    costs = []
    for member in _FAMILY:
        spec = member.model_copy(update={"width": width})
        # Without data, a full-size network is built in no time.
        with torch.device("meta"):
            network = VideoClassifier(spec, num_classes, input_shape)
        cost = measure_cost(network, input_shape)
        costs.append(ModelCost(spec.name, spec.attention_head, cost.parameters, cost.gmac))
    return costs
