"""Boundary max pooling: the maximum of a feature around the start, and around the end, of segments.

Lin et al., "Learning Salient Boundary Feature for Anchor-free Temporal Action Localization"
(CVPR 2021), section 3.3. The gradient goes to the position of each maximum. (The published kernel's
does so only where there are as many windows as time steps.)
"""

from collections.abc import Iterator
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
    batch, channels, time = features.shape
    if channels % 2:
        raise ModelError(
            f"features have {channels} channels; expected an even number, half for starts and half "
            "for ends"
        )
    steps = windows.detach().clamp(0, time - 1).long()
    first, last = steps.reshape(*steps.shape[:2], 2, 2).permute(3, 0, 2, 1).flatten(1, 2)
    groups = features.reshape(2 * batch, channels // 2, time)
    pooled: Tensor = _RangeMax.apply(groups, first, last)  # type: ignore[no-untyped-call]
    return pooled.view(batch, channels, -1)


class _RangeMax(torch.autograd.Function):
    """Maxima of ranges of time. A group is the half of a sample's channels that shares ranges.

    The forward pass keeps no table and no positions: the backward pass builds the table anew and
    hands the gradient of each of its entries down to that half of the entry which has the maximum.
    """

    @staticmethod
    def forward(
        ctx: Any,
        groups: Float[Tensor, "groups channels time"],
        first: Int[Tensor, "groups ranges"],
        last: Int[Tensor, "groups ranges"],
    ) -> Float[Tensor, "groups channels ranges"]:
        """Look up each range."""
        lengths = (last - first).clamp_(min=0).add_(1)
        # Other devices would have to wait for the longest range, and meta tensors do not know it.
        known = groups.is_cpu and lengths.numel()
        num_levels = (int(lengths.max()) if known else groups.shape[2]).bit_length()
        table = _RangeTable(groups, num_levels, first.shape[1])
        entries = table.cover(first, lengths)
        maxima = groups.new_empty(len(groups), groups.shape[1], first.shape[1])
        size = table.num_groups
        for values, covering, result in zip(
            *(torch.split(part, size) for part in (groups, entries, maxima)), strict=True
        ):
            torch.maximum(*table.look_up(values, covering), out=result)
        ctx.save_for_backward(groups, entries)
        ctx.num_levels = num_levels
        return maxima

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, gradient: Float[Tensor, "groups channels ranges"]
    ) -> tuple[Float[Tensor, "groups channels time"], None, None]:
        """Give each maximum's gradient to the earliest time step that has it."""
        groups, entries = ctx.saved_tensors
        table = _RangeTable(groups, ctx.num_levels, gradient.shape[2])
        size = table.num_groups
        spread = torch.empty_like(table.entries)
        by_entry, by_step = spread.flatten(1), spread[:, :, 0].transpose(0, 1)
        # Comparing into numbers is many times faster on a CPU than masks are.
        is_later = torch.empty_like(gradient[:size])
        is_below = torch.empty_like(by_step.transpose(0, 1))
        downwards = [
            (*values, *gradients, is_below[..., : values[0].shape[2]])
            for values, gradients in zip(_levels(table.entries), _levels(spread), strict=True)
        ][::-1]
        result = torch.empty_like(groups)
        for values, covering, given, received in zip(
            *(torch.split(part, size) for part in (groups, entries, gradient, result)), strict=True
        ):
            left, right = table.look_up(values, covering)
            torch.gt(right, left, out=is_later)
            torch.mul(given, is_later, out=right)
            torch.sub(given, right, out=left)
            places = covering.view(-1).expand(len(by_entry), -1)
            by_entry.zero_().scatter_add_(1, places, table.found.flatten(1))
            for _, earlier, later, above, to_earlier, to_later, chosen in downwards:
                to_later.addcmul_(above, torch.gt(later, earlier, out=chosen))
                to_earlier.addcmul_(above, torch.le(later, earlier, out=chosen))
            received.copy_(by_step)
        return result, None, None


class _RangeTable:
    """Maxima of 1, 2, 4, ... time steps from each step on; any range is the union of two of them.

    Bender and Farach-Colton, "The LCA Problem Revisited" (LATIN 2000), section 3. Entries that
    would pass the last time step are unset.

    Attributes:
        num_groups: how many groups the table holds at a time.
        entries: the table.
        found: maxima of both parts of each range.
    """

    def __init__(
        self, groups: Float[Tensor, "groups channels time"], num_levels: int, num_ranges: int
    ) -> None:
        """Make space for tables of these groups, with ranges shorter than 2^num_levels."""
        self.num_groups = _groups_at_once(groups)
        channels, time = groups.shape[1:]
        self.entries = groups.new_empty(channels, self.num_groups, num_levels, time)
        self.found = groups.new_empty(channels, self.num_groups, 2, num_ranges)
        self._steps = self.entries[:, :, 0].transpose(0, 1)
        self._upwards = list(_levels(self.entries))
        self._rows, self._found_rows = self.entries.flatten(1), self.found.flatten(1)
        self._left, self._right = self.found.permute(2, 1, 0, 3)

    def cover(
        self, first: Int[Tensor, "groups ranges"], lengths: Int[Tensor, "groups ranges"]
    ) -> Int[Tensor, "groups 2 ranges"]:
        """Find the two entries whose union is each range."""
        num_levels, time = self.entries.shape[2:]
        level = torch.frexp(lengths.float()).exponent - 1  # floor(log2(length))
        last = first + lengths - (1 << level)
        group = torch.arange(len(first), device=first.device) % self.num_groups
        row = group[:, None] * num_levels + level
        return torch.stack((first, last), dim=1) + (row * time)[:, None]

    def look_up(
        self,
        groups: Float[Tensor, "table_groups channels time"],
        entries: Int[Tensor, "table_groups 2 ranges"],
    ) -> tuple[
        Float[Tensor, "table_groups channels ranges"], Float[Tensor, "table_groups channels ranges"]
    ]:
        """Build the table of these groups, and copy what it says of both parts of each range."""
        self._steps.copy_(groups)
        for above, earlier, later in self._upwards:
            torch.maximum(earlier, later, out=above)
        torch.index_select(self._rows, 1, entries.view(-1), out=self._found_rows)
        return self._left, self._right


def _groups_at_once(groups: Float[Tensor, "groups channels time"]) -> int:
    """One on a CPU, where its table stays in the cache; other devices like few large operations."""
    return 1 if groups.is_cpu else len(groups)


def _levels(
    table: Float[Tensor, "channels groups levels time"],
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Each level from 1 on, with the earlier and the later half of each of its entries."""
    num_levels, time = table.shape[2:]
    for level in range(1, num_levels):
        half, count = 1 << (level - 1), time - (1 << level) + 1
        below = table[:, :, level - 1]
        yield table[:, :, level, :count], below[..., :count], below[..., half : half + count]
