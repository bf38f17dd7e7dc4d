"""Clips in which an action is cut in two, so that boundary features can be compared.

AFSD (Lin et al., CVPR 2021), section 3.5: a stretch of background is moved into the middle of an
action. The end of the first part and the start of the second, which met before, should look alike;
the background between them should not. Only the order of frames changes, so a rearrangement is that
order.
"""

import itertools
import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from featkd.errors import UsageError


@dataclass(frozen=True, eq=False)
class Rearrangement:
    """The same frames in another order.

    Attributes:
        frame_order: (T,), which frame of the clip each frame of the rearranged clip is.
        segments: first part of the action, second part, background between them: (3, 2), first and
            last frame in the rearranged clip.
    """

    frame_order: Int[Tensor, " frames"]
    segments: Float[Tensor, "3 2"]

    def apply(
        self, clip: Float[Tensor, "channels frames height width"]
    ) -> Float[Tensor, "channels frames height width"]:
        """Rearrange the frames of a clip."""
        return clip[:, self.frame_order.to(clip.device)]


def rearrange(
    segments: Float[Tensor, "annotations 2"],
    num_frames: int,
    moved_frames: int,
    rng: np.random.Generator,
) -> Rearrangement | None:
    """Draw an action, where to cut it, and background to put between its parts.

    The action is longer than twice the moved background, which is taken from between two
    neighbouring boundaries (the clip's ends among them) where no action is. As published, but for
    overlapping actions: there the published code also takes frames of one action for background.

    Args:
        segments: all actions of the clip, in frames.
        num_frames: of the clip.
        moved_frames: how long the moved background is; in training, the length of the shortest
            action of the video.
        rng: source of the draws.

    Returns:
        None where no action is long enough or no background.

    Raises:
        UsageError: an action does not lie within the clip, or nothing is to be moved.
    """
    actions = [(float(start), float(end)) for start, end in segments.tolist()]
    if moved_frames < 1:
        raise UsageError(f"moved_frames is {moved_frames}; expected at least 1")
    for start, end in actions:
        if not 0 <= start <= end <= num_frames:
            raise UsageError(
                f"an action goes from frame {start:g} to {end:g}; expected a segment within the "
                f"clip's {num_frames} frames"
            )
    long_enough = [(start, end) for start, end in actions if end - start > 2 * moved_frames]
    gaps = _background(actions, num_frames, moved_frames)
    if not long_enough or not gaps:
        return None
    start, end = long_enough[rng.integers(len(long_enough))]
    cut = math.ceil(start) + int(rng.integers(moved_frames, math.ceil(end - start - moved_frames)))
    first, last = gaps[rng.integers(len(gaps))]
    piece = first + int(rng.integers(last - first - moved_frames))
    frames = torch.arange(num_frames)
    moved = frames[piece : piece + moved_frames]
    if piece >= end:
        order = (frames[:cut], moved, frames[cut:piece], frames[piece + moved_frames :])
        begin = cut
        parts = ((start, cut), (cut + moved_frames, end + moved_frames))
    else:
        order = (frames[:piece], frames[piece + moved_frames : cut], moved, frames[cut:])
        begin = cut - moved_frames
        parts = ((start - moved_frames, begin), (cut, end))
    between = (begin + 1, begin + moved_frames - 1)
    return Rearrangement(torch.cat(order), torch.tensor([*parts, between], dtype=torch.float32))


def _background(
    actions: list[tuple[float, float]], num_frames: int, moved_frames: int
) -> list[tuple[int, int]]:
    """Whole frames between neighbouring boundaries, more than ``moved_frames``, without action."""
    boundaries = sorted({0.0, num_frames - 1.0, *itertools.chain.from_iterable(actions)})
    gaps = []
    for begin, stop in itertools.pairwise(boundaries):
        first, last = math.ceil(begin), math.floor(min(stop, num_frames - 1))
        covered = any(start < stop and end > begin for start, end in actions)
        if not covered and last - first > moved_frames:
            gaps.append((first, last))
    return gaps
