import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from featkd.detection.soft_nms import SoftNms, soft_nms
from featkd.errors import UsageError

SEGMENTS = np.array([[0.0, 10.0], [1.0, 11.0], [20.0, 30.0], [0.0, 10.0]])
SCORES = np.array([0.9, 0.8, 0.7, 0.3])

candidates = st.lists(
    st.tuples(st.integers(0, 20), st.integers(0, 12), st.integers(1, 20)), min_size=0, max_size=9
)


def slow(rows, sigma, min_score, *, drop_last):
    """One candidate at a time, in plain Python: {index: final score}.

    Where rounding decides who is next or who is dropped, there is nothing to compare with.
    """
    first = {index: score for index, (_, _, score) in rows}
    alive = {index: [start, start + length, score] for index, (start, length, score) in rows}
    kept = {}
    while alive and not (drop_last and len(alive) == 1):
        best = min(alive, key=lambda index: (-alive[index][2], index))
        for index, (_, _, score) in alive.items():
            is_tie = math.isclose(score, alive[best][2], rel_tol=1e-9)
            assume(index == best or not is_tie or score == first[index] == first[best])
        start, end, score = alive.pop(best)
        kept[best] = score
        for index, other in list(alive.items()):
            shared = max(0.0, min(end, other[1]) - max(start, other[0]))
            union = (end - start) + (other[1] - other[0]) - shared
            overlap = shared / union if union > 0 else 0.0
            other[2] *= math.exp(-(overlap**2) / sigma)
            assume(not math.isclose(other[2], min_score, rel_tol=1e-9))
            if other[2] < min_score:
                del alive[index]
    return kept


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        (SoftNms(sigma=0.5), {0: 0.9, 1: 0.209719, 2: 0.7, 3: 0.0106434}),
        (SoftNms(sigma=0.5, kind="released"), {0: 0.9, 1: 0.209719, 2: 0.7}),
        (SoftNms(sigma=0.1), {0: 0.9, 2: 0.7}),
        (SoftNms(sigma=0.1, kind="released"), {0: 0.9}),
    ],
    ids=["0.5", "0.5 released", "0.1", "0.1 released"],
)
def test_soft_nms__golden(setting, expected):
    kept, scores = soft_nms(SEGMENTS, SCORES, setting)

    assert dict(zip(kept.tolist(), scores.tolist(), strict=True)) == pytest.approx(
        expected, abs=1e-6
    )


@settings(max_examples=200, deadline=None)
@given(candidates, st.sampled_from([0.1, 0.5, 2.0]), st.booleans())
def test_soft_nms__compare(rows, sigma, released):
    rows = [(start, length, score / 20) for start, length, score in rows]
    setting = SoftNms(sigma=sigma, kind="released" if released else "complete", min_score=0.02)
    segments = np.array([[start, start + length] for start, length, _ in rows], float)

    kept, scores = soft_nms(
        segments.reshape(-1, 2), np.array([score for _, _, score in rows], float), setting
    )

    expected = slow(list(enumerate(rows)), sigma, 0.02, drop_last=released)
    assert kept.tolist() == sorted(expected)
    assert scores.tolist() == pytest.approx([expected[index] for index in sorted(expected)])


@pytest.mark.parametrize(("kind", "expected"), [("complete", [0]), ("released", [])])
def test_soft_nms__one_candidate(kind, expected):
    kept, _ = soft_nms(np.array([[2.0, 3.0]]), np.array([0.4]), SoftNms(kind=kind))

    assert kept.tolist() == expected


def test_soft_nms__keeps_at_most_so_many_and_changes_no_argument():
    segments, scores = SEGMENTS.copy(), SCORES.copy()

    kept, _ = soft_nms(segments, scores, SoftNms(max_segments=2))

    assert kept.tolist() == [0, 2]
    assert (segments == SEGMENTS).all()
    assert (scores == SCORES).all()


def test_soft_nms__score_that_is_not_finite():
    with pytest.raises(UsageError, match=r"candidate 2 is nan; expected a finite number"):
        soft_nms(SEGMENTS, np.array([0.9, 0.8, np.nan, 0.1]), SoftNms())
