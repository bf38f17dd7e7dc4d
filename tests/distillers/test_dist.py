import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from featkd.distillers import DIST, DISTConfig, Shapes
from featkd.distillers.dist import inter_loss, intra_loss, pearson_correlation
from featkd.errors import ModelError, RequirementError
from featkd.types import StudentOutput, TeacherSignal

seeds = st.integers(0, 2**16)
taus = st.floats(0.5, 10)


def draw(seed, *shape):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def softened(row, tau):
    exponentials = [math.exp(value / tau) for value in row]
    return [value / sum(exponentials) for value in exponentials]


def correlation(left, right):
    left_mean, right_mean = sum(left) / len(left), sum(right) / len(right)
    covariance = left_square = right_square = 0.0
    for a, b in zip(left, right, strict=True):
        covariance += (a - left_mean) * (b - right_mean)
        left_square += (a - left_mean) ** 2
        right_square += (b - right_mean) ** 2
    return covariance / (math.sqrt(left_square) * math.sqrt(right_square) + 1e-8)


@settings(max_examples=25, deadline=None)
@given(seed=seeds, tau=taus)
def test_dist_losses__compare_with_loop(seed, tau):
    student, teacher = 4 * draw(seed, 3, 5), 4 * draw(seed + 1, 3, 5)
    p = [softened(row, tau) for row in student.tolist()]
    q = [softened(row, tau) for row in teacher.tolist()]
    inter = sum(correlation(*rows) for rows in zip(p, q, strict=True)) / 3
    columns = zip(zip(*p, strict=True), zip(*q, strict=True), strict=True)
    intra = sum(correlation(*pair) for pair in columns) / 5
    expected = tau**2 * (1 - inter), tau**2 * (1 - intra)
    assert inter_loss(student, teacher, tau).item() == pytest.approx(expected[0], rel=1e-9)
    assert intra_loss(student, teacher, tau).item() == pytest.approx(expected[1], rel=1e-9)


@settings(max_examples=25, deadline=None)
@given(seed=seeds, scale=st.floats(0.1, 10), shift=st.floats(-5, 5))
def test_pearson_correlation__invariant_to_scale_and_shift(seed, scale, shift):
    left, right = draw(seed, 4, 6), draw(seed + 1, 4, 6)
    expected = pearson_correlation(left, right)
    torch.testing.assert_close(pearson_correlation(scale * left + shift, right), expected)
    torch.testing.assert_close(pearson_correlation(left, scale * right + shift), expected)
    torch.testing.assert_close(pearson_correlation(-scale * left, right), -expected)


@settings(max_examples=25, deadline=None)
@given(seed=seeds, tau=st.floats(0.5, 2), share=st.floats(0.3, 0.9))
def test_inter_loss__free_where_probabilities_are_mixed_with_equal_ones(seed, tau, share):
    teacher = draw(seed, 3, 5)
    mixed = share * (teacher / tau).softmax(dim=1) + (1 - share) / 5
    # Up to the 1e-8 beside the product of norms.
    assert inter_loss(tau * mixed.log(), teacher, tau).item() == pytest.approx(0, abs=1e-3)


@settings(max_examples=10, deadline=None)
@given(seed=seeds, tau=st.floats(0.5, 2))
def test_dist_losses__nothing_to_learn_at_equality(seed, tau):
    student = draw(seed, 3, 5).requires_grad_()
    losses = [loss(student, student.detach().clone(), tau) for loss in (inter_loss, intra_loss)]
    sum(losses).backward()
    # Up to the 1e-8 beside the product of norms, which matters where hardly anything differs.
    probabilities = (student.detach() / tau).softmax(dim=1)
    norms = [(probabilities - probabilities.mean(d, keepdim=True)).norm(dim=d) for d in (1, 0)]
    for loss, norm in zip(losses, norms, strict=True):
        assert loss.item() < 1e-8 / norm.min().item() ** 2 + 1e-5
    assert student.grad.abs().max() < 0.1


def test_dist_losses__lowest_and_highest():
    teacher = torch.tensor([[3.0, 0], [0, 3]])
    assert inter_loss(teacher.flip(1), teacher, 2.0).item() == pytest.approx(8)
    assert intra_loss(teacher.flip(0), teacher, 2.0).item() == pytest.approx(8)


@pytest.mark.parametrize("loss", [inter_loss, intra_loss])
def test_dist_losses__constant_rows_give_no_gradient(loss):
    teacher = torch.tensor([[3.0, 0, 1], [0, 3, 2]])
    student = torch.full((2, 3), 0.1, requires_grad=True)
    value = loss(student, teacher, 1.0)
    value.backward()
    assert value.item() == 1
    assert (student.grad == 0).all()


def test_intra_loss__class_that_is_constant_up_to_rounding():
    teacher = torch.tensor([[3.0, 0, 1], [0, 3, 2]])
    student = torch.tensor([[1.0, 1, 1], [1, 1, 1 + 1e-7]], requires_grad=True)
    value = intra_loss(student, teacher, 1.0)
    value.backward()
    assert student.grad.abs().max() < 1


def test_dist_losses__half_precision_and_certain_logits():
    student = torch.tensor([[300.0, -300], [-300, 300]], dtype=torch.float16).requires_grad_()
    for loss in (inter_loss, intra_loss):
        value = loss(student, -student, 1.0)
        value.backward()
        assert value.dtype == torch.float32
        assert value.item() == pytest.approx(2)
        assert student.grad.isfinite().all()


def test_dist__terms_and_gradients(student, clips, labels, signal):
    output = student(clips)
    config = DISTConfig(tau=2, beta=3, gamma=5, ce_weight=0.5)
    terms = DIST(config, Shapes.measure(output, signal))(output, signal, labels, epoch=1)
    values = terms.unweighted()
    inter = inter_loss(output.logits, signal.logits, 2.0).detach()
    intra = intra_loss(output.logits, signal.logits, 2.0).detach()
    torch.testing.assert_close(values["inter"], inter)
    torch.testing.assert_close(values["intra"], intra)
    expected = 0.5 * values["cross_entropy"] + 3 * inter + 5 * intra
    torch.testing.assert_close(terms.total.detach(), expected)
    terms.total.backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in student.parameters())
    assert signal.logits.grad is None


def test_dist__different_classes():
    with pytest.raises(ModelError, match=r"dist.*\(5,\).*\(7,\)"):
        DIST(DISTConfig(), Shapes(student_classes=5, teacher_classes=7))


def test_dist__signal_without_logits(labels):
    dist = DIST(DISTConfig(), Shapes(student_classes=5))
    with pytest.raises(RequirementError, match="no logits"):
        dist(StudentOutput(torch.zeros(3, 5), {}), TeacherSignal(), labels, epoch=1)


@pytest.mark.parametrize("setting", [{"tau": 0}, {"beta": -1}, {"kd_weight": 2}])
def test_dist_config__wrong_setting(setting):
    with pytest.raises(ValidationError, match=next(iter(setting))):
        DISTConfig(**setting)
