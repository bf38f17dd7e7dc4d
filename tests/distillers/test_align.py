import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from featkd.distillers import Aligner, pool_to_common_size, require_alignable
from featkd.errors import ModelError

sizes = st.tuples(*[st.integers(1, 6)] * 3)


def pool_axis_by_loop(tensor, axis, size):
    """Adaptive average pooling from its definition: cell i is [floor(i n/m), ceil((i+1) n/m))."""
    length = tensor.shape[axis]
    cells = []
    for index in range(size):
        start, stop = index * length // size, -(-(index + 1) * length // size)
        cells.append(tensor.narrow(axis, start, stop - start).mean(dim=axis, keepdim=True))
    return torch.cat(cells, dim=axis)


@settings(max_examples=25, deadline=None)
@given(student=sizes, teacher=sizes)
def test_pool_to_common_size__compare_with_loop(student, teacher):
    generator = torch.Generator().manual_seed(0)
    tensors = [
        torch.randn(2, 3, *size, generator=generator, dtype=torch.float64)
        for size in (student, teacher)
    ]
    pooled = pool_to_common_size(*tensors, axes=3)
    for tensor, result in zip(tensors, pooled, strict=True):
        expected = tensor
        for axis in range(3):
            expected = pool_axis_by_loop(expected, 2 + axis, min(student[axis], teacher[axis]))
        torch.testing.assert_close(result, expected)


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_pool_to_common_size__leaves_what_fits(axes):
    student, teacher = torch.rand(2, 3, 4, 5, 6), torch.rand(2, 3, 4, 5, 3)
    pooled, target = pool_to_common_size(student, teacher, axes)
    assert target is teacher
    torch.testing.assert_close(pooled, student.unflatten(-1, (3, 2)).mean(dim=-1))


@pytest.mark.parametrize(
    ("student", "teacher"),
    [
        ((6, 8, 4, 4), (9, 4, 2, 7)),
        ((6, 8, 4, 4), (6, 8, 4, 4)),
        ((6, 8), (9, 4)),
        ((6, 4), (6, 8)),
    ],
)
def test_aligner__gives_one_shape(student, teacher):
    aligner = Aligner("features", student, teacher)
    aligned, target = aligner(torch.rand(2, *student), torch.rand(2, *teacher))
    assert aligned.shape == target.shape
    assert aligned.shape[1] == teacher[0]
    assert bool(list(aligner.parameters())) == (student[0] != teacher[0])


def test_aligner__projects_every_position_alike():
    aligner = Aligner("features", (3, 2, 2, 2), (5, 2, 2, 2))
    student = torch.rand(1, 3, 2, 2, 2)
    aligned, _ = aligner(student, torch.rand(1, 5, 2, 2, 2))
    weight, bias = aligner.projector.weight.flatten(1), aligner.projector.bias
    torch.testing.assert_close(aligned[0, :, 1, 0, 1], weight @ student[0, :, 1, 0, 1] + bias)


@pytest.mark.parametrize(
    ("student", "teacher"), [((6, 8), (6, 8, 4, 4)), ((6, 0, 4, 4), (6, 8, 4, 4))]
)
def test_require_alignable__names_both_shapes(student, teacher):
    with pytest.raises(ModelError) as caught:
        require_alignable("features", student, teacher)
    assert str(student) in str(caught.value)
    assert str(teacher) in str(caught.value)


def test_aligner__tensors_of_another_shape():
    # Without the check the one channel would be broadcast to six.
    aligner = Aligner("attention", (6, 4), (6, 4))
    with pytest.raises(ModelError, match=r"\(2, 1, 4\).*\(2, 6, 4\)"):
        aligner(torch.rand(2, 1, 4), torch.rand(2, 6, 4))
