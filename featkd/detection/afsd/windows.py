"""Windows around the boundaries of coarse segments, for boundary pooling.

AFSD (Lin et al., CVPR 2021), section 3.3, with the published code's numbers: a window reaches a
tenth of the segment's length outwards and a quarter inwards, at least one time step each. No
gradient flows through windows.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from featkd.detection.afsd.priors import Priors

_OUTWARDS, _INWARDS = 10, 4


def frame_windows(
    segments: Float[Tensor, "batch segments 2"],
) -> Float[Tensor, "batch segments 4"]:
    """Windows on a feature with one time step a frame.

    Args:
        segments: first and last frame of each.

    Returns:
        First and last frame around the start, first and last around the end: whole numbers.
    """
    start, end = segments.detach().unbind(-1)
    return _around(start, end, end - start + 1)


def level_windows(
    priors: Priors, distances: Float[Tensor, "batch priors 2"]
) -> Float[Tensor, "batch priors 4"]:
    """Windows on the pyramid level of each prior.

    Args:
        priors: where the priors stand.
        distances: from each prior back to its segment's start and on to its end, in frames.

    Returns:
        First and last time step around the start, first and last around the end. They are whole
        numbers, lie on the prior's level and are counted over all levels laid end to end.
    """
    back, onward = (distances.detach() / priors.strides[:, None]).unbind(-1)
    windows = _around(priors.cells - back, priors.cells + onward, back + onward)
    last = priors.level_lengths[:, None] - 1
    return torch.minimum(windows.clamp(min=0), last) + priors.level_starts[:, None]


def _around(
    start: Float[Tensor, "batch segments"],
    end: Float[Tensor, "batch segments"],
    length: Float[Tensor, "batch segments"],
) -> Float[Tensor, "batch segments 4"]:
    outwards = (length / _OUTWARDS).clamp(min=1)
    inwards = (length / _INWARDS).clamp(min=1)
    corners = (start - outwards, start + inwards, end - inwards, end + outwards)
    return torch.stack(corners, dim=-1).round()
