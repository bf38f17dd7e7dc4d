"""When something happens in an untrimmed video, and what."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from numpy.random import Generator

from featkd.synthetic.motions import Action


@dataclass(frozen=True, slots=True)
class TimelineRange:
    """What timelines are drawn from; all ranges are in frames and include both ends.

    Attributes:
        video_frames: length of the video; at least the shortest action and two shortest gaps.
        action_frames: length of an action.
        gap_frames: stillness between two actions, at least 1. Before the first and behind the last
            it is no shorter than the shortest.
        overlap_share: chance that an action which follows a gap is joined by another, of another
            class, before it ends.
    """

    video_frames: tuple[int, int]
    action_frames: tuple[int, int]
    gap_frames: tuple[int, int]
    overlap_share: float


@dataclass(frozen=True, slots=True)
class Timeline:
    """A video's length and its actions, in the order in which they start."""

    num_frames: int
    actions: tuple[Action, ...]


@dataclass(frozen=True, slots=True)
class _Stretch:
    """Frames [start, end) of an action whose class is not drawn yet."""

    start: int
    end: int
    joins: bool
    """Whether it begins before the one before it ends."""


def sample_timeline(
    limits: TimelineRange, classes: Sequence[str], main_class: str, rng: Generator
) -> Timeline:
    """Draw a random timeline.

    Actions follow one another until no more fit. One that joins another begins in the middle third
    of it, and nothing joins the two. Classes are random, but those that overlap differ, and the
    main class is the one that happens most often; where others happen as often, it is the first of
    them. So the classes of videos can be balanced.

    Args:
        limits: ranges of lengths.
        classes: motions to draw from; two or more where actions overlap.
        main_class: one of them.
        rng: source of randomness.
    """
    num_frames = _draw(limits.video_frames, rng)
    stretches = _sample_stretches(limits, num_frames - 2 * limits.gap_frames[0], rng)
    names = _sample_names(stretches, classes, main_class, rng)
    spare = num_frames - max(stretch.end for stretch in stretches) - limits.gap_frames[0]
    first_frame = _draw((limits.gap_frames[0], spare), rng)
    actions = [
        Action(name, first_frame + stretch.start, first_frame + stretch.end)
        for name, stretch in zip(names, stretches, strict=True)
    ]
    return Timeline(num_frames, tuple(actions))


def _sample_stretches(limits: TimelineRange, room: int, rng: Generator) -> list[_Stretch]:
    """Fill frames from 0 to ``room``; ordered by start."""
    shortest = limits.action_frames[0]
    stretches: list[_Stretch] = []
    start = 0
    while True:
        end = start + _draw(limits.action_frames, rng, most=room - start)
        stretches.append(_Stretch(start, end, joins=False))
        if rng.uniform() < limits.overlap_share:
            third = (end - start) // 3
            start = _draw((start + third, end - third), rng)
            if room - start >= shortest:
                joined_end = start + _draw(limits.action_frames, rng, most=room - start)
                stretches.append(_Stretch(start, joined_end, joins=True))
                end = max(end, joined_end)
        if room - end < limits.gap_frames[0] + shortest:
            return stretches
        start = end + _draw(limits.gap_frames, rng, most=room - end - shortest)


def _sample_names(
    stretches: Sequence[_Stretch], classes: Sequence[str], main_class: str, rng: Generator
) -> list[str]:
    names: list[str] = []
    for stretch in stretches:
        others = [name for name in classes if not (stretch.joins and name == names[-1])]
        names.append(str(rng.choice(others)))
    commonest = Counter(names).most_common(1)[0][0]
    exchanged = {commonest: main_class, main_class: commonest}
    return [exchanged.get(name, name) for name in names]


def _draw(limits: tuple[int, int], rng: Generator, most: int | None = None) -> int:
    """Draw a whole number from a range, both ends included, that does not exceed ``most``."""
    low, high = limits
    return int(rng.integers(low, high if most is None else min(high, most), endpoint=True))
