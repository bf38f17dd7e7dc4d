"""Weights of one member of the I3D family for another."""

from collections.abc import Mapping

import torch
from torch import Tensor

from featkd.errors import ModelError
from featkd.models.i3d import I3DTrunk


@torch.no_grad()
def inherit_weights(trunk: I3DTrunk, weights: Mapping[str, Tensor]) -> None:
    """Start a backbone from the weights of a member of its family, itself included.

    Tensors of equal shape are copied. A kernel that looks along time becomes one that does not by
    summing over time, and the other way round by spreading it evenly ("inflation", Carreira and
    Zisserman, CVPR 2017, section 2.3): either way a video in which nothing moves looks the same,
    away from its first and last frames.

    Args:
        trunk: the backbone.
        weights: by name; names the backbone does not have, such as a classifier's, are passed over.

    Raises:
        ModelError: a tensor is missing, or has a shape that cannot be brought to the backbone's.
    """
    own = trunk.state_dict()
    for name, target in own.items():
        if name not in weights:
            raise ModelError(
                f"weights have no {name!r}; expected all {len(own)} tensors of the backbone"
            )
        source = weights[name]
        if source.shape != target.shape:
            source = _change_time(name, source, target)
        target.copy_(source)


def _change_time(name: str, source: Tensor, target: Tensor) -> Tensor:
    """Bring a kernel (C', C, T, H, W) to another extent in time."""
    if source.ndim == target.ndim == 5:
        summed = source.sum(dim=2, keepdim=True)
        spread = summed.expand(-1, -1, target.shape[2], -1, -1) / target.shape[2]
        if spread.shape == target.shape and 1 in (source.shape[2], target.shape[2]):
            return spread
    raise ModelError(
        f"weights have {name!r} of shape {tuple(source.shape)}; expected {tuple(target.shape)}, or "
        "another extent in time"
    )
