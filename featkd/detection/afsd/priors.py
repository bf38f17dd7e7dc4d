"""Where the detector looks for actions: one prior for each time step of each pyramid level."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from featkd.errors import ModelError

FIRST_STRIDE = 4
"""Frames between two priors of level 0; every further level doubles it."""


class Priors(nn.Module):
    """The time steps of all levels, finest level first.

    AFSD (Lin et al., CVPR 2021), section 3.1. A time step of a level of stride s covers s frames,
    and its prior is in their middle: step c stands at ``(c + 0.5) s``. 256 frames and six levels of
    strides 4 to 128 give 126 priors.

    Attributes:
        lengths: time steps of each level.
        centres: where each prior stands, in frames.
        strides: frames per time step of each prior's level.
        cells: which time step of its level each prior is.
        level_lengths: time steps of each prior's level.
        level_starts: how many priors lie on finer levels than each prior's.
    """

    centres: Float[Tensor, " priors"]
    strides: Float[Tensor, " priors"]
    cells: Float[Tensor, " priors"]
    level_lengths: Float[Tensor, " priors"]
    level_starts: Float[Tensor, " priors"]

    def __init__(self, num_frames: int, num_levels: int) -> None:
        """Place the priors.

        Raises:
            ModelError: the clip is not a multiple of the coarsest level's stride.
        """
        super().__init__()
        strides = [FIRST_STRIDE * 2**level for level in range(num_levels)]
        if num_levels < 2 or num_frames < 1 or num_frames % strides[-1]:
            raise ModelError(
                f"a clip has {num_frames} frames and the pyramid {num_levels} levels; expected 2 "
                f"levels or more and a multiple of the coarsest one's stride, {strides[-1]} frames"
            )
        self.num_frames = num_frames
        self.lengths = tuple(num_frames // stride for stride in strides)
        per_prior = [
            (cell, stride, length, sum(self.lengths[:level]))
            for level, (stride, length) in enumerate(zip(strides, self.lengths, strict=True))
            for cell in range(length)
        ]
        columns = torch.tensor(per_prior, dtype=torch.float32).T.contiguous()
        names = ("cells", "strides", "level_lengths", "level_starts")
        for name, column in zip(names, columns, strict=True):
            self.register_buffer(name, column.clone(), persistent=False)
        self.register_buffer("centres", (self.cells + 0.5) * self.strides, persistent=False)

    def __len__(self) -> int:
        """How many priors there are."""
        return sum(self.lengths)

    def segments(
        self, distances: Float[Tensor, "batch priors 2"]
    ) -> Float[Tensor, "batch priors 2"]:
        """First and last frame of the segments that reach so far back and on from each prior."""
        back, onward = distances.unbind(-1)
        return torch.stack((self.centres - back, self.centres + onward), dim=-1)
