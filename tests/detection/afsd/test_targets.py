import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from featkd.detection.afsd import ClipAnnotations, Priors, assign_priors, boundary_maps
from featkd.errors import ModelError, UsageError

rows = st.lists(
    st.tuples(st.integers(0, 64), st.integers(0, 64), st.integers(0, 5)), min_size=0, max_size=5
)


def annotations(table):
    table = [(min(a, b), max(a, b), label) for a, b, label in table]
    tensor = torch.tensor(table).reshape(-1, 3)
    return ClipAnnotations(tensor[:, :2].float(), tensor[:, 2].long())


def test_priors__of_thumos14():
    priors = Priors(256, 6)
    assert priors.lengths == (64, 32, 16, 8, 4, 2)
    assert len(priors) == len(priors.centres) == 126
    assert priors.centres[:2].tolist() == [2, 6]
    assert priors.centres[-2:].tolist() == [64, 192]
    assert priors.strides[[0, 63, 64, 125]].tolist() == [4, 4, 8, 128]
    assert priors.cells[[63, 64, 125]].tolist() == [63, 0, 1]
    assert priors.level_starts[[63, 64, 125]].tolist() == [0, 64, 124]


@pytest.mark.parametrize(("frames", "levels"), [(250, 6), (0, 3), (64, 1)])
def test_priors__clip_that_does_not_fit(frames, levels):
    with pytest.raises(ModelError, match=f"{frames} frames and the pyramid {levels}"):
        Priors(frames, levels)


@settings(max_examples=60, deadline=None)
@given(table=rows)
def test_assign_priors__compare_with_loop(table):
    clip = annotations(table)
    centres = Priors(64, 4).centres
    labels, distances = assign_priors(centres, [clip])
    for k, centre in enumerate(centres.tolist()):
        best = None
        actions = zip(clip.segments.tolist(), clip.labels.tolist(), strict=True)
        for (start, end), label in actions:
            shorter = best is None or end - start < best[1] - best[0]
            if start <= centre <= end and shorter:
                best = (start, end, label)
        start, end, label = best or (centre, centre, 0)
        assert labels[0, k].item() == label
        assert distances[0, k].tolist() == [centre - start, end - centre]


def test_assign_priors__both_ends_belong_and_the_first_of_equals_counts():
    clip = annotations([(6, 14, 3), (6, 14, 4), (4, 12, 5)])
    centres = torch.tensor([4.0, 6.0, 14.0, 14.5])
    labels, distances = assign_priors(centres, [clip])
    assert labels.tolist() == [[5, 3, 3, 0]]
    assert distances[0, 2].tolist() == [8, 0]


def test_assign_priors__no_clip():
    with pytest.raises(UsageError, match="one for each clip"):
        assign_priors(torch.ones(3), [])


@settings(max_examples=40, deadline=None)
@given(table=rows)
def test_boundary_maps__compare_with_loop(table):
    clip = annotations(table)
    (maps,) = boundary_maps([clip], 64)
    expected = torch.zeros(2, 64)
    for start, end in clip.segments.tolist():
        reach = max((end - start) / 10, 2) / 2
        for row, middle in enumerate((start, end)):
            first = min(max(round(middle - reach), 0), 63)
            last = min(max(round(middle + reach), 0), 63)
            for frame in range(first, last + 1):
                expected[row, frame] = 1
    assert torch.equal(maps, expected)


def test_boundary_maps__of_the_first_training_clip_of_thumos14():
    (maps,) = boundary_maps(
        [ClipAnnotations(torch.tensor([[165.0, 249.0]]), torch.tensor([3]))], 256
    )
    starts, ends = (row.nonzero().flatten().tolist() for row in maps)
    assert starts == list(range(161, 170))
    assert ends == list(range(245, 254))
