"""Shapes of a backbone's layers."""

from collections.abc import Sequence
from copy import deepcopy

import torch

from featkd.models.i3d import I3DTrunk
from featkd.models.taps import record_layers


def layer_shapes(
    backbone: I3DTrunk, input_shape: tuple[int, int, int, int], layers: Sequence[str]
) -> dict[str, tuple[int, int, int, int]]:
    """(C, T, H, W) of each layer, found without computing anything.

    Args:
        backbone: stays as it is.
        input_shape: (C, T, H, W) of a clip.
        layers: names as in ``backbone.named_modules()``.

    Raises:
        ModelError: the backbone lacks one of the layers.
    """
    shadow = deepcopy(backbone).to("meta").eval()
    with record_layers(shadow, layers) as outputs, torch.no_grad():
        shadow.features(torch.empty(1, *input_shape, device="meta"))
    return {name: tuple(output.shape[1:]) for name, output in outputs.items()}
