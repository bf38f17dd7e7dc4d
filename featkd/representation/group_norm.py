"""Group normalisation for any number of channels."""

from torch import nn

from featkd.errors import ModelError

MAX_GROUPS = 32


def build_group_norm(channels: int, groups: int | None = None) -> nn.GroupNorm:
    """Build a group normalisation.

    Args:
        channels: Channels to normalise.
        groups: Number of groups. None takes the largest divisor of ``channels`` that is at most
            32 and leaves two channels or more in a group: 32 groups from 64 channels on, wherever
            32 divides them.

    Raises:
        ModelError: ``groups`` does not divide ``channels``.
    """
    if groups is None:
        # A group of one channel would normalise every channel over time alone, and what is the
        # same at all times (which channels matter at all) would be lost.
        most = max(1, min(MAX_GROUPS, channels // 2))
        groups = next(count for count in range(most, 0, -1) if channels % count == 0)
    if groups < 1 or channels % groups:
        raise ModelError(f"groups is {groups}; expected a divisor of the {channels} channels")
    return nn.GroupNorm(groups, channels)
