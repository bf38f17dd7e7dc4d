"""Taps: named layers read by forward hooks, so that any ``nn.Module`` serves."""

import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from featkd.errors import ModelError
from featkd.types import Reduction

# Axes of a row (C, T, H, W) that moments are taken over.
_MOMENT_AXES: Mapping[Reduction, tuple[int, ...]] = {
    "moments": (1, 2, 3),
    "frame_moments": (2, 3),
}


@contextmanager
def record_layers(model: nn.Module, layers: Iterable[str]) -> Iterator[Mapping[str, Any]]:
    """Collect the outputs of named layers while the block runs.

    Args:
        model: any module.
        layers: names as in ``model.named_modules()``.

    Yields:
        A mapping that holds each layer's last output after a forward pass, a tensor where the
        layer gives one.

    Raises:
        ModelError: the model has no layer of that name.
    """
    known = dict(model.named_modules())
    outputs: dict[str, Any] = {}
    hooks = []
    try:
        for layer in layers:
            if layer not in known:
                tops = ", ".join(name for name, _ in model.named_children())
                raise ModelError(f"layer {layer!r} is not in the model; it has {tops}")

            def keep(_module: nn.Module, _inputs: object, output: Any, name: str = layer) -> None:
                outputs[name] = output

            hooks.append(known[layer].register_forward_hook(keep))
        yield outputs
    finally:
        for hook in hooks:
            hook.remove()


def reduce_map(
    feature_map: Float[Tensor, "batch channels time height width"], reduction: Reduction
) -> Float[Tensor, "batch ..."]:
    """Keep of a map what a tap asks for; shapes as in `featkd.types.TapSpec`.

    Everything is computed in float32 and row by row: the order in which a sum is rounded depends on
    the tensor's shape, and a row must not depend on the batch it was computed in.

    Raises:
        ModelError: deviations are asked for of fewer than two positions.
    """
    values = feature_map.float()
    if reduction == "full":
        return values
    averaged = _MOMENT_AXES.get(reduction, ())
    if averaged and math.prod(values.shape[1:][axis] for axis in averaged) < 2:
        raise ModelError(
            f"a map of shape (C, T, H, W) {tuple(values.shape[1:])} has no {reduction}; expected "
            "two or more positions to take a standard deviation of"
        )
    return torch.stack([_reduce_row(row, reduction) for row in values])


def _reduce_row(
    row: Float[Tensor, "channels time height width"], reduction: Reduction
) -> Float[Tensor, "..."]:
    if reduction == "pooled":
        return row.mean(dim=(1, 2, 3))
    if reduction in _MOMENT_AXES:
        deviation, mean = torch.std_mean(row, dim=_MOMENT_AXES[reduction])
        return torch.stack((mean, deviation))
    return row.square().mean(dim=0)
