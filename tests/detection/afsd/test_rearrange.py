import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from featkd.detection.afsd import rearrange
from featkd.errors import UsageError

FRAMES = 128
tables = st.lists(
    st.tuples(st.floats(0, FRAMES, width=16), st.floats(0, FRAMES, width=16)),
    min_size=1,
    max_size=4,
).map(lambda rows: torch.tensor([sorted(row) for row in rows]))


@settings(max_examples=300, deadline=None)
@given(segments=tables, moved=st.integers(1, 20), seed=st.integers(0, 10_000))
def test_rearrange__moves_background_into_an_action(segments, moved, seed):
    result = rearrange(segments, FRAMES, moved, np.random.default_rng(seed))
    if result is None:
        return
    order = result.frame_order.tolist()
    assert sorted(order) == list(range(FRAMES))
    (first, cut), (second, last), (begin, stop) = result.segments.tolist()
    # The background lies between the parts, one frame away from each.
    assert (cut, second) == (begin - 1, stop + 1)
    piece = order[int(begin) - 1 : int(begin) - 1 + moved]
    assert piece == list(range(piece[0], piece[0] + moved))
    for start, end in segments.tolist():
        assert not any(start < frame < end for frame in piece)
    # Both parts together are an action that was there, longer than twice the background.
    length = (cut - first) + (last - second)
    lengths = [end - start for start, end in segments.tolist()]
    assert min(abs(length - known) for known in lengths) < 1e-3
    assert length > 2 * moved
    # The second part goes on where the first one ends.
    assert order[int(second)] == order[int(cut) - 1] + 1


@pytest.mark.parametrize("after", [True, False])
def test_rearrange__known_by_hand(after):
    # One gap alone is long enough, so only the cut and the piece's place in it are drawn.
    action = [[4.0, 40.0]] if after else [[80.0, 120.0]]
    for seed in range(20):
        result = rearrange(torch.tensor(action), FRAMES, 8, np.random.default_rng(seed))
        (first, cut), (second, last), between = result.segments.tolist()
        if after:
            assert (first, last) == (4, 48)
            assert 4 + 8 <= cut < 4 + 28
            assert second == cut + 8
            assert between == [cut + 1, cut + 7]
            assert result.frame_order[: int(cut)].tolist() == list(range(int(cut)))
        else:
            assert (first, last) == (72, 120)
            assert 80 + 8 <= second < 80 + 32
            assert cut == second - 8
            assert between == [second - 7, second - 1]
            assert result.frame_order[int(second) :].tolist() == list(range(int(second), FRAMES))


def test_rearrange__draws_follow_the_generator():
    segments = torch.tensor([[10.0, 40.0], [80.0, 120.0]])
    first, again = (
        rearrange(segments, FRAMES, 8, np.random.default_rng(3)).frame_order for _ in range(2)
    )
    assert torch.equal(first, again)
    orders = {
        tuple(rearrange(segments, FRAMES, 8, np.random.default_rng(s)).frame_order.tolist())
        for s in range(20)
    }
    assert len(orders) > 10


@pytest.mark.parametrize(
    ("rows", "moved"),
    [
        pytest.param([[10.0, 25.0]], 8, id="action too short"),
        pytest.param([[3.0, 125.0]], 8, id="no background"),
        pytest.param([[0.0, 70.0], [60.0, 127.0]], 8, id="overlap is no background"),
    ],
)
def test_rearrange__impossible(rows, moved):
    assert rearrange(torch.tensor(rows), FRAMES, moved, np.random.default_rng(0)) is None


def test_rearrange__applied_to_a_clip():
    result = rearrange(torch.tensor([[4.0, 40.0]]), FRAMES, 8, np.random.default_rng(0))
    clip = torch.arange(FRAMES).float().view(1, FRAMES, 1, 1).expand(3, -1, 2, 2)
    assert result.apply(clip)[1, :, 0, 1].tolist() == result.frame_order.tolist()


@pytest.mark.parametrize(
    ("rows", "moved", "words"),
    [([[10.0, 200.0]], 8, "200; .*128 frames"), ([[10.0, 100.0]], 0, "moved_frames is 0")],
)
def test_rearrange__wrong_arguments(rows, moved, words):
    with pytest.raises(UsageError, match=words):
        rearrange(torch.tensor(rows), FRAMES, moved, np.random.default_rng(0))
