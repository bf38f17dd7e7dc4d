"""The precision losses are computed in."""

import torch
from torch import Tensor


def full_precision(tensor: Tensor) -> Tensor:
    """Give float64 back as it is and anything narrower as float32.

    Squares of activations, norms over a whole map and logarithms of probabilities leave the range
    of half precision long before the network that made them does.
    """
    return tensor if tensor.dtype == torch.float64 else tensor.float()
