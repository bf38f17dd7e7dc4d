"""Losses of the feature representation: of the CVAE and of the classifier."""

from typing import NamedTuple

from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from featkd.representation.precision import full_precision


class CVAELoss(NamedTuple):
    """The CVAE's loss and its parts.

    Attributes:
        total: ``reconstruction + kl_weight * kl``.
        reconstruction: Mean squared error.
        kl: Divergence of the posterior from the prior, averaged over components, not weighted.
    """

    total: Float[Tensor, ""]
    reconstruction: Float[Tensor, ""]
    kl: Float[Tensor, ""]


def cvae_loss(
    reconstruction: Float[Tensor, "batch channels time height width"],
    features: Float[Tensor, "batch channels time height width"],
    mean: Float[Tensor, "batch time channels"],
    log_var: Float[Tensor, "batch time channels"],
    attention: Float[Tensor, "batch channels time"],
    kl_weight: float = 0.1,
) -> CVAELoss:
    """Compute the negative evidence bound with means instead of sums.

    Generative-based KD (AAAI 2024), Eq. 3, with the prior N(A, I):
    ``mean (F - F^)^2 + kl_weight * mean((mean - A)^2 + exp(log_var) - 1 - log_var) / 2``.

    Args:
        reconstruction: F^.
        features: F.
        mean: Of the posterior.
        log_var: Of the posterior.
        attention: A, the mean of the prior.
        kl_weight: Weight of the divergence.
    """
    error = F.mse_loss(full_precision(reconstruction), full_precision(features))
    log_var = full_precision(log_var)
    distance = full_precision(mean) - full_precision(attention).transpose(1, 2)
    kl = 0.5 * (distance.square() + log_var.exp() - 1 - log_var).mean()
    return CVAELoss(error + kl_weight * kl, error, kl)


def cross_entropy(
    logits: Float[Tensor, "batch classes"], labels: Int[Tensor, " batch"]
) -> Float[Tensor, ""]:
    """Compute the mean cross entropy of logits that were averaged over time."""
    return F.cross_entropy(full_precision(logits), labels)


def double_softmax_cross_entropy(
    frame_logits: Float[Tensor, "batch classes steps"], labels: Int[Tensor, " batch"]
) -> Float[Tensor, ""]:
    """Compute the classifier loss of the paper's published code.

    Probabilities are summed over time and then taken for logits: ``CE(sum_t softmax(z_t), y)``.
    The second softmax keeps these logits within [0, steps], so the loss cannot reach zero and its
    gradients are weak; `cross_entropy` is the better choice except for comparison.

    Args:
        frame_logits: Logits at each time step, not averaged.
        labels: Class of each sample.
    """
    probabilities = full_precision(frame_logits).softmax(dim=1)
    return F.cross_entropy(probabilities.sum(dim=2), labels)
