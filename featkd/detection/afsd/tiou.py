"""Overlap of two segments that share a point in time."""

import torch
from jaxtyping import Float
from torch import Tensor


def distance_tiou(
    distances: Float[Tensor, "*priors 2"], others: Float[Tensor, "*priors 2"]
) -> Float[Tensor, "*priors"]:
    """Intersection over union of segments given by distances from the same point.

    Where all distances are positive this is also the generalised IoU: two segments that share a
    point cover the whole stretch from the first start to the last end.

    Args:
        distances: back to the start and on to the end, in any unit.
        others: the same from the same point, in the same unit.
    """
    intersection = torch.minimum(distances, others).sum(dim=-1)
    union = distances.sum(dim=-1) + others.sum(dim=-1) - intersection
    return intersection / union.clamp(min=torch.finfo(union.dtype).eps)
