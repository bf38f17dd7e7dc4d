"""Refinement: each prior looks again, at the boundaries of its coarse segment."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from featkd.detection.afsd.conv_norm import ConvNorm
from featkd.detection.afsd.pyramid import split_levels
from featkd.detection.boundary_pooling import boundary_max_pool


class Refined(NamedTuple):
    """What a branch found.

    Attributes:
        levels: the refined feature of each level.
        boundary: level 0 as boundary pooling sees it: first half of the channels about starts,
            second half about ends.
    """

    levels: tuple[Float[Tensor, "batch channels _level_time"], ...]
    boundary: Float[Tensor, "batch twice_channels _finest_time"]


class RefinementBranch(nn.Module):
    """Salient boundary feature of one branch: AFSD (Lin et al., CVPR 2021), section 3.3.

    Args:
        channels: of the towers and of the frame feature.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.point = ConvNorm(channels, channels, kernel=1)
        self.boundary = ConvNorm(channels, 2 * channels, kernel=1)
        self.frame = ConvNorm(channels, channels, kernel=1)
        self.joint = ConvNorm(4 * channels, channels, kernel=1)

    def forward(
        self,
        towers: Sequence[Float[Tensor, "batch channels _level_time"]],
        windows: Float[Tensor, "batch priors 4"],
        pooled_frames: Float[Tensor, "batch channels priors"],
    ) -> Refined:
        """Join what lies at the prior, and around the boundaries in its level and in the frames.

        Args:
            towers: output of the branch's tower on each level.
            windows: time steps around the boundaries, counted over all levels.
            pooled_frames: the frame feature, pooled around the boundaries.
        """
        boundaries = [self.boundary(tower) for tower in towers]
        pooled = boundary_max_pool(torch.cat(boundaries, dim=2), windows)
        lengths = tuple(tower.shape[2] for tower in towers)
        levels = [
            self.joint(torch.cat((self.frame(frames), at_boundaries, self.point(tower)), dim=1))
            for frames, at_boundaries, tower in zip(
                split_levels(pooled_frames, lengths),
                split_levels(pooled, lengths),
                towers,
                strict=True,
            )
        ]
        return Refined(tuple(levels), boundaries[0])


class RefinementHead(nn.Module):
    """Corrections of coarse segments, classes anew, and how good each segment is.

    Args:
        channels: of the branches.
        num_outputs: classes, background included.
    """

    def __init__(self, channels: int, num_outputs: int) -> None:
        super().__init__()
        self.localisation_branch = RefinementBranch(channels)
        self.classification_branch = RefinementBranch(channels)
        self.localisation = nn.Conv1d(channels, 2, kernel_size=1)
        self.classification = nn.Conv1d(channels, num_outputs, kernel_size=1)
        self.quality = nn.Conv1d(channels, 1, kernel_size=3, padding=1)

    def offsets(self, refined: Refined) -> Float[Tensor, "batch priors 2"]:
        """Corrections of both distances, in halves of the coarse segment's length."""
        return torch.cat([self.localisation(level) for level in refined.levels], dim=2).mT

    def logits(self, refined: Refined) -> Float[Tensor, "batch priors outputs"]:
        """Class scores; output 0 is background."""
        return torch.cat([self.classification(level) for level in refined.levels], dim=2).mT

    def quality_logits(self, refined: Refined) -> Float[Tensor, "batch priors"]:
        """Log odds of the tIoU of the refined segment with the action's."""
        return torch.cat([self.quality(level) for level in refined.levels], dim=2).squeeze(1)
