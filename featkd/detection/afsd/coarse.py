"""Coarse predictions: a class and a segment for every prior."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from featkd.detection.afsd.conv_norm import ConvNorm


def build_tower(channels: int) -> nn.Sequential:
    """Two convolutions over time that levels share."""
    return nn.Sequential(*(ConvNorm(channels, channels, kernel=3) for _ in range(2)))


class CoarseHead(nn.Module):
    """What a time step of any level is, and how far its segment reaches both ways.

    AFSD (Lin et al., CVPR 2021), section 3.2. Levels share all weights but one factor each.

    Args:
        channels: of the levels.
        num_outputs: classes, background included.
        num_levels: of the pyramid.
    """

    def __init__(self, channels: int, num_outputs: int, num_levels: int) -> None:
        super().__init__()
        self.localisation_tower = build_tower(channels)
        self.classification_tower = build_tower(channels)
        self.localisation = nn.Conv1d(channels, 2, kernel_size=3, padding=1)
        self.classification = nn.Conv1d(channels, num_outputs, kernel_size=3, padding=1)
        self.scales = nn.Parameter(torch.ones(num_levels))

    def distances(
        self, towers: Sequence[Float[Tensor, "batch channels _level_time"]]
    ) -> Float[Tensor, "batch priors 2"]:
        """Frames back to the start and on to the end, positive, of every level's tower output."""
        levels = [
            torch.exp(scale * self.localisation(tower))
            for scale, tower in zip(self.scales, towers, strict=True)
        ]
        return torch.cat(levels, dim=2).mT

    def logits(
        self, towers: Sequence[Float[Tensor, "batch channels _level_time"]]
    ) -> Float[Tensor, "batch priors outputs"]:
        """Class scores of every level's tower output; output 0 is background."""
        return torch.cat([self.classification(tower) for tower in towers], dim=2).mT
