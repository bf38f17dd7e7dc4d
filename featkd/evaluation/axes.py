"""Axes of charts: where a value lands in a drawing, and where the ticks stand."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

LOG_SPAN = 30.0


class Tick(NamedTuple):
    """A mark on an axis: position in drawing units, and what is written there."""

    position: float
    label: str


@dataclass(frozen=True, slots=True)
class Axis:
    """A scale from data to drawing units.

    ``low`` is drawn at ``start``, ``high`` at ``end``; ``end`` may lie before ``start``, as it does
    for upright axes, whose units count downwards.
    """

    low: float
    high: float
    start: float
    end: float
    logarithmic: bool
    ticks: tuple[Tick, ...]

    def place(self, value: float) -> float:
        """Return where a value is drawn."""
        if self.logarithmic:
            return _log_position(value, self.low, self.high, self.start, self.end)
        return _position(value, self.low, self.high, self.start, self.end)


def linear_axis(
    values: Sequence[float], start: float, end: float, *, num_ticks: int = 5, unit: float = 1.0
) -> Axis:
    """Build an axis of round numbers that holds all values.

    Args:
        values: finite numbers, at least one.
        start: where the axis begins, in drawing units.
        end: where it ends.
        num_ticks: about how many steps.
        unit: data value that is written as 1: 0.01 writes fractions as percentages.
    """
    low, high = min(values) / unit, max(values) / unit
    if high - low < 1e-9 * max(1.0, abs(high)):
        low, high = low - 0.5, high + 0.5
    step = _round_step((high - low) / num_ticks)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    low, high = first * step, last * step
    ticks = tuple(
        Tick(_position(i * step, low, high, start, end), _write(i * step, decimals))
        for i in range(first, last + 1)
    )
    return Axis(low * unit, high * unit, start, end, logarithmic=False, ticks=ticks)


def positive_axis(values: Sequence[float], start: float, end: float, *, num_ticks: int = 5) -> Axis:
    """Build an axis for amounts: from 0, or logarithmic if they span more than a factor of 30."""
    smallest, largest = min(values), max(values)
    if smallest <= 0 or largest / smallest <= LOG_SPAN:
        return linear_axis([0.0, *values], start, end, num_ticks=num_ticks)
    # One decade more at either end: the logarithm of a round number may round the wrong way.
    powers = range(math.floor(math.log10(smallest)) - 1, math.ceil(math.log10(largest)) + 2)
    round_numbers = [factor * 10.0**power for power in powers for factor in (1, 2, 5)]
    low = max(number for number in round_numbers if number <= smallest)
    high = min(number for number in round_numbers if number >= largest)
    marks = [number for number in round_numbers if low <= number <= high]
    if len(marks) > 2 * num_ticks:
        decades = [10.0**power for power in powers if low <= 10.0**power <= high]
        marks = decades[:: math.ceil(len(decades) / (num_ticks + 1))]
    ticks = tuple(Tick(_log_position(mark, low, high, start, end), f"{mark:g}") for mark in marks)
    return Axis(low, high, start, end, logarithmic=True, ticks=ticks)


def epoch_axis(last_epoch: int, start: float, end: float) -> Axis:
    """Build an axis of whole epochs from 1."""
    last = float(max(last_epoch, 2))
    step = max(1, round(_round_step((last - 1) / 7)))
    epochs = [1, *(epoch for epoch in range(step, int(last) + 1, step) if epoch > 1)]
    ticks = tuple(
        Tick(_position(float(epoch), 1.0, last, start, end), str(epoch)) for epoch in epochs
    )
    return Axis(1.0, last, start, end, logarithmic=False, ticks=ticks)


def _write(value: float, decimals: int) -> str:
    return f"{value:.{decimals}f}" if abs(value) < 1e5 else f"{value:g}"


def _position(value: float, low: float, high: float, start: float, end: float) -> float:
    return round(start + (value - low) / (high - low) * (end - start), 2)


def _log_position(value: float, low: float, high: float, start: float, end: float) -> float:
    return _position(math.log10(value), math.log10(low), math.log10(high), start, end)


def _round_step(rough: float) -> float:
    """Return the smallest of 1, 2, 5 times a power of ten that is at least ``rough``."""
    power = 10.0 ** math.floor(math.log10(rough))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * (1 - 1e-9))
