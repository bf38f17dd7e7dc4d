"""Taps: named layers read by forward hooks, so that any ``nn.Module`` serves."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

import torch
from jaxtyping import Float
from torch import Tensor, nn

from featkd.errors import ModelError
from featkd.types import Reduction


@contextmanager
def record_layers(model: nn.Module, layers: Iterable[str]) -> Iterator[Mapping[str, Tensor]]:
    """Collect the outputs of named layers while the block runs.

    Args:
        model: any module.
        layers: names as in ``model.named_modules()``.

    Yields:
        A mapping that holds each layer's last output after a forward pass.

    Raises:
        ModelError: the model has no layer of that name.
    """
    known = dict(model.named_modules())
    outputs: dict[str, Tensor] = {}
    hooks = []
    try:
        for layer in layers:
            if layer not in known:
                tops = ", ".join(name for name, _ in model.named_children())
                raise ModelError(f"layer {layer!r} is not in the model; it has {tops}")

            def keep(
                _module: nn.Module, _inputs: object, output: Tensor, name: str = layer
            ) -> None:
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

    Moments use the biased variance, exact for a mean over the whole map. Everything is computed
    in float32 and row by row: the order in which a sum is rounded depends on the tensor's shape,
    and a row must not depend on the batch it was computed in.
    """
    values = feature_map.float()
    if reduction == "full":
        return values
    return torch.stack([_reduce_row(row, reduction) for row in values])


def _reduce_row(
    row: Float[Tensor, "channels time height width"], reduction: Reduction
) -> Float[Tensor, "..."]:
    if reduction == "pooled":
        return row.mean(dim=(1, 2, 3))
    if reduction == "moments":
        variance, mean = torch.var_mean(row, dim=(1, 2, 3), correction=0)
        return torch.stack((mean, variance.sqrt()))
    return row.square().mean(dim=0)
