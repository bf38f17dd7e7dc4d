"""Assigns groups of videos to splits."""

import hashlib
import math
from collections.abc import Mapping

from featkd.errors import UsageError


def check_fractions(splits: Mapping[str, float]) -> None:
    """Check that the fractions of the splits are positive and sum to 1.

    Raises:
        UsageError: naming the split, or the sum.
    """
    for name, fraction in splits.items():
        if not (name.strip() and name.isprintable()):
            raise UsageError(f"split {name!r} has no printable name; expected for example 'train'")
        if not 0.0 < fraction <= 1.0:
            raise UsageError(f"split {name!r} has fraction {fraction}; expected 0 < fraction <= 1")
    total = math.fsum(splits.values())
    if not math.isclose(total, 1.0, abs_tol=1e-6):
        raise UsageError(f"the fractions of the splits {dict(splits)} sum to {total}; expected 1")


def split_of_group(group: str, splits: Mapping[str, float], seed: int) -> str:
    """The split that a group falls into.

    It depends on these arguments alone: adding or removing other videos moves no group, and all
    videos of a group share a split.

    Args:
        group: name of the group.
        splits: fraction of the groups by split, as `check_fractions` accepts them.
        seed: another seed draws another assignment.
    """
    digest = hashlib.blake2b(f"{seed}:{group}".encode(), digest_size=8).digest()
    position = int.from_bytes(digest, "little") / 2**64
    upper = 0.0
    for name, fraction in splits.items():
        upper += fraction
        if position < upper:
            return name
    # Rounding can leave the sum a little below 1.
    return name
