"""From rendered frames to what a network takes."""

from typing import Annotated, Any

import torch
from jaxtyping import Float, UInt8
from pydantic import Field, model_validator
from torch import Tensor

from featkd.types import Spec
from featkd.video import NUM_CHANNELS, Modality


class PreprocessSpec(Spec):
    """How a network wants its input."""

    size: Annotated[int, Field(ge=8)] = 224
    """Height and width in pixels."""
    modality: Modality = "rgb"
    """What it sees of a video: ``rgb``, 3 channels, or ``flow``, 2."""
    mean: tuple[float, ...] = (0.5, 0.5, 0.5)
    """Subtracted per channel from values in [0, 1]; 0.5 and 0.5 give I3D's [-1, 1]."""
    std: tuple[float, ...] = (0.5, 0.5, 0.5)
    """Divides per channel."""

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("modality") == "flow":
            return {"mean": (0.5, 0.5), "std": (0.5, 0.5), **values}
        return values

    @model_validator(mode="after")
    def _a_value_a_channel(self) -> "PreprocessSpec":
        for name, values in (("mean", self.mean), ("std", self.std)):
            if len(values) != self.num_channels:
                raise ValueError(
                    f"{name} has {len(values)} values; expected {self.num_channels} for modality "
                    f"{self.modality}"
                )
        return self

    @property
    def num_channels(self) -> int:
        """Channels of the input."""
        return NUM_CHANNELS[self.modality]


def preprocess(
    clips: UInt8[Tensor, "batch channels time height width"],
    spec: PreprocessSpec,
    device: torch.device,
) -> Float[Tensor, "batch channels time height width"]:
    """Scale to [0, 1], subtract the mean, divide by the deviation.

    The result is float32 on ``device`` in channels-last-3d memory, as `place` puts the
    weights.
    """
    mean = torch.tensor(spec.mean, device=device).view(1, -1, 1, 1, 1)
    scale = 1.0 / torch.tensor(spec.std, device=device).view(1, -1, 1, 1, 1)
    pixels = clips.to(device, non_blocking=True, memory_format=torch.channels_last_3d)
    return pixels.float().div_(255.0).sub_(mean).mul_(scale)
