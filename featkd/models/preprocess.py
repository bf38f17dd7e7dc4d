"""From rendered frames to what a network takes."""

from typing import Annotated

import torch
from jaxtyping import Float, UInt8
from pydantic import Field
from torch import Tensor

from featkd.types import Spec


class PreprocessSpec(Spec):
    """How a network wants its input."""

    size: Annotated[int, Field(ge=8)] = 224
    """Height and width in pixels."""
    mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    """Subtracted per channel from values in [0, 1]; 0.5 and 0.5 give I3D's [-1, 1]."""
    std: tuple[float, float, float] = (0.5, 0.5, 0.5)
    """Divides per channel."""


def preprocess(
    clips: UInt8[Tensor, "batch 3 time height width"], spec: PreprocessSpec, device: torch.device
) -> Float[Tensor, "batch 3 time height width"]:
    """Scale to [0, 1], subtract the mean, divide by the deviation.

    The result is float32 on ``device`` in channels-last-3d memory, as `place` puts the
    weights.
    """
    mean = torch.tensor(spec.mean, device=device).view(1, 3, 1, 1, 1)
    scale = 1.0 / torch.tensor(spec.std, device=device).view(1, 3, 1, 1, 1)
    pixels = clips.to(device, non_blocking=True, memory_format=torch.channels_last_3d)
    return pixels.float().div_(255.0).sub_(mean).mul_(scale)
