"""Boundary max pooling: the maximum of a feature around the start, and around the end, of segments.

Lin et al., "Learning Salient Boundary Feature for Anchor-free Temporal Action Localization"
(CVPR 2021), section 3.3. The gradient goes to the position of each maximum. (The published kernel's
does so only where there are as many windows as time steps.)
"""

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd.function import once_differentiable

from featkd.errors import ModelError


def boundary_max_pool(
    features: Float[Tensor, "batch channels time"],
    windows: Float[Tensor, "batch segments 4"],
) -> Float[Tensor, "batch channels segments"]:
    """Take the maximum of each channel over a window of time.

    The first half of the channels looks at the window around a segment's start, the second half at
    the one around its end.

    Args:
        features: an even number of channels.
        windows: first and last time step around the start, first and last around the end. They are
            truncated toward zero and clamped into the features; a window that ends before it begins
            is its first step alone. No gradient flows to them.

    Returns:
        The maxima. Of equal ones the earliest receives the gradient.

    Raises:
        ModelError: the number of channels is odd.
    """
    channels, time = features.shape[1:]
    if channels % 2:
        raise ModelError(
            f"features have {channels} channels; expected an even number, half for starts and half "
            "for ends"
        )
    steps = windows.detach().trunc().clamp(0, time - 1).long()
    first, last = steps.view(*steps.shape[:2], 2, 2).permute(3, 0, 2, 1).contiguous()
    pooled: Tensor = _RangeMax.apply(  # type: ignore[no-untyped-call]
        features, first, torch.maximum(first, last)
    )
    return pooled


class _RangeMax(torch.autograd.Function):
    """Maxima of ranges through a table of the maxima of all ranges of 1, 2, 4, ... time steps.

    Any range is the union of two of them. The backward pass walks down the table from each maximum
    to the time step it came from, so the forward pass keeps no indices. (Bender and Farach-Colton,
    "The LCA Problem Revisited", LATIN 2000, section 3.)
    """

    @staticmethod
    def forward(
        ctx: Any,
        features: Float[Tensor, "batch channels time"],
        first: Int[Tensor, "batch 2 segments"],
        last: Int[Tensor, "batch 2 segments"],
    ) -> Float[Tensor, "batch channels segments"]:
        """Look up each range."""
        lengths = last - first + 1
        table = _build_table(features, lengths)
        # floor(log2(length)): the widest ranges of the table that fit into this one.
        level = (torch.frexp(lengths.float()).exponent - 1).long()
        batch, channels, time = features.shape
        row = torch.arange(0, 2 * batch * time, time, device=features.device).view(batch, 2, 1)
        left = row + first + level * (2 * batch * time)
        overlap = lengths - (1 << level)
        entries = table.flatten(0, 1)
        from_left = entries.index_select(0, left.view(-1))
        from_right = entries.index_select(0, (left + overlap).view(-1))
        maxima = torch.maximum(from_left, from_right)
        ctx.save_for_backward(table, level, left, overlap, from_left, maxima)
        by_half = maxima.view(*first.shape, channels // 2).mT
        return by_half.reshape(batch, channels, first.shape[2])

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, gradient: Float[Tensor, "batch channels segments"]
    ) -> tuple[Float[Tensor, "batch channels time"], None, None]:
        """Give each maximum's gradient to the earliest time step that has it."""
        table, level, left, overlap, from_left, maxima = ctx.saved_tensors
        num_levels, num_rows, half_channels = table.shape
        batch, channels, num_segments = gradient.shape
        # Longest ranges first: those that start as high in the table as a step are the first ones.
        level, order = level.flatten().sort(descending=True)
        steps = torch.arange(num_levels, device=level.device)
        above: list[int] = (level[:, None] >= steps).sum(dim=0).tolist()
        left, overlap = (value.flatten()[order, None] * half_channels for value in (left, overlap))
        from_left, maxima = from_left.index_select(0, order), maxima.index_select(0, order)
        place = left + torch.arange(half_channels, device=level.device)
        place += _differs(from_left, maxima).mul_(overlap)
        entries = table.view(-1)
        for step in range(num_levels - 1, 0, -1):
            # Down one level, to the earlier half of the range, or to the later one if need be.
            moving = place[: above[step]]
            moving -= num_rows * half_channels
            found = entries.index_select(0, moving.view(-1)).view_as(moving)
            moving += _differs(found, maxima[: above[step]]).mul_(half_channels << (step - 1))
        by_half = gradient.reshape(batch, 2, half_channels, num_segments).mT
        rows = by_half.reshape(len(order), half_channels).index_select(0, order)
        spread = gradient.new_zeros(num_rows * half_channels)
        spread.scatter_add_(0, place.view(-1), rows.view(-1))
        time = num_rows // (2 * batch)
        spread = spread.view(batch, 2, time, half_channels).mT
        return spread.reshape(batch, channels, time), None, None


def _differs(found: Tensor, maxima: Tensor) -> Tensor:
    """1 where what was found is not the maximum, else 0; overwrites ``found``.

    Comparing in place keeps the numbers' type, which is many times faster on a CPU than masks are.
    """
    return found.ne_(maxima).long()


def _build_table(
    features: Float[Tensor, "batch channels time"], lengths: Int[Tensor, "batch 2 segments"]
) -> Float[Tensor, "levels rows half_channels"]:
    """Maxima of 2^level time steps from each row on; those that would pass the end are unset.

    A row is a time step of one half of the channels of one sample.
    """
    batch, channels, time = features.shape
    # Other devices would have to wait for the longest range, and meta tensors do not know it.
    longest = int(lengths.max()) if lengths.device.type == "cpu" and lengths.numel() else time
    table = features.new_empty(longest.bit_length(), batch * 2, time, channels // 2)
    table[0].view(batch, 2, time, -1).copy_(features.view(batch, 2, -1, time).mT)
    for level in range(1, len(table)):
        half, entries = 1 << (level - 1), time - (1 << level) + 1
        below = table[level - 1]
        torch.maximum(
            below[:, :entries], below[:, half : half + entries], out=table[level, :, :entries]
        )
    return table.flatten(1, 2)
