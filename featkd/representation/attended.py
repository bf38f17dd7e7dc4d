"""Features weighed by attention and brought back to their size: what the classifier sees."""

import torch
from jaxtyping import Float
from torch import Tensor

from featkd.representation.precision import full_precision


def attended_feature(
    features: Float[Tensor, "batch channels time height width"],
    attention: Float[Tensor, "batch channels time"],
) -> Float[Tensor, "batch channels time height width"]:
    """Weigh features by attention and keep each sample's norm.

    Generative-based KD (AAAI 2024), Eq. 9-10 with the identity as theta:
    ``F' = sigma * A * F`` with ``sigma = ||F|| / ||A * F||`` over a sample. A sample that attention
    leaves at zero stays zero.

    Args:
        features: F.
        attention: A, the same for all positions of a time step.

    Returns:
        F', of the dtype of ``features``.
    """
    weighed = features * attention[..., None, None]
    axes = (1, 2, 3, 4)
    norm = torch.linalg.vector_norm(full_precision(features), dim=axes, keepdim=True)
    weighed_norm = torch.linalg.vector_norm(full_precision(weighed), dim=axes, keepdim=True)
    return (weighed * _ratio(norm, weighed_norm)).to(features.dtype)


def attended_feature_batch_sum(
    features: Float[Tensor, "batch channels time height width"],
    attention: Float[Tensor, "batch channels time"],
) -> Float[Tensor, "batch channels time height width"]:
    """Weigh features by attention and keep the sum of the whole batch, as published.

    One factor, ``sum(F) / sum(A * F)``, serves all samples, so a sample's result depends on its
    neighbours in the batch; `attended_feature` does not have that.

    Args:
        features: F.
        attention: A.

    Returns:
        F', of the dtype of ``features``.
    """
    weighed = features * attention[..., None, None]
    total, weighed_total = full_precision(features).sum(), full_precision(weighed).sum()
    return (weighed * _ratio(total, weighed_total)).to(features.dtype)


def attended_feature_inverse_sum(
    features: Float[Tensor, "batch channels time height width"],
    attention: Float[Tensor, "batch channels time"],
) -> Float[Tensor, "batch channels time height width"]:
    """Weigh features by attention that adds up to 1 over the batch, as published for detection.

    ``F' = A * F / sum(A)``. The result is smaller than F by about the number of A's entries, and
    depends on the batch; `attended_feature` keeps the size and does not.

    Args:
        features: F.
        attention: A.

    Returns:
        F', of the dtype of ``features``.
    """
    share = full_precision(attention)
    weighed = full_precision(features) * (share / share.sum())[..., None, None]
    return weighed.to(features.dtype)


def _ratio(numerator: Tensor, denominator: Tensor) -> Tensor:
    """Divide; 1 where the denominator is 0, with gradients that stay finite there."""
    usable = denominator != 0
    return torch.where(usable, numerator / torch.where(usable, denominator, 1.0), 1.0)
