"""Whether a method differs from its baseline, judged by paired runs."""

import itertools
from collections.abc import Sequence

_MAX_EXACT = 16


def sign_flip_p_value(differences: Sequence[float]) -> float | None:
    """Two-sided p-value of the exact paired permutation test.

    If a method does nothing, each difference is as likely with the other sign. The p-value is the
    share of all sign patterns whose sum is at least as far from 0 as the one observed. It assumes
    no distribution, and n pairs cannot give less than 2 / 2^n: five give 0.0625 at best.

    Fisher, The Design of Experiments (1935), section 21.

    Args:
        differences: one for each pair, for instance top-1 with and without a teacher by seed.

    Returns:
        None below two pairs, where the test can say nothing.

    Raises:
        ValueError: more than 16 pairs, whose patterns are too many to count.
    """
    if len(differences) < 2:
        return None
    if len(differences) > _MAX_EXACT:
        raise ValueError(
            f"{len(differences)} pairs have 2^{len(differences)} sign patterns; expected at most "
            f"{_MAX_EXACT} pairs"
        )
    observed = abs(sum(differences))
    # Sums of the same numbers in another order differ in their last bits.
    threshold = observed - 1e-12 * sum(map(abs, differences))
    patterns = list(itertools.product((1, -1), repeat=len(differences)))
    extreme = sum(
        abs(sum(sign * value for sign, value in zip(signs, differences, strict=True))) >= threshold
        for signs in patterns
    )
    return extreme / len(patterns)
