import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from featkd.distillers import TTM, Shapes, TTMConfig
from featkd.distillers.ttm import transformed_divergences
from featkd.errors import ModelError, RequirementError
from featkd.types import StudentOutput, TeacherSignal

logits = st.lists(st.lists(st.floats(-20, 20), min_size=4, max_size=4), min_size=2, max_size=2).map(
    lambda rows: torch.tensor(rows, dtype=torch.float64)
)
exponents = st.floats(0.1, 1)


def probabilities(row):
    exponentials = [math.exp(value) for value in row]
    return [value / sum(exponentials) for value in exponentials]


@settings(max_examples=25, deadline=None)
@given(student=logits, teacher=logits, exponent=exponents)
def test_transformed_divergences__compare_with_loop(student, teacher, exponent):
    expected = []
    for student_row, teacher_row in zip(student.tolist(), teacher.tolist(), strict=True):
        powers = [p**exponent for p in probabilities(teacher_row)]
        q = [power / sum(powers) for power in powers]
        pairs = zip(q, probabilities(student_row), strict=True)
        expected.append(sum(a * math.log(a / b) for a, b in pairs))
    divergences = transformed_divergences(student, teacher, exponent)
    assert divergences.tolist() == pytest.approx(expected, rel=1e-9, abs=1e-9)


@settings(max_examples=10, deadline=None)
@given(teacher=logits, exponent=exponents)
def test_transformed_divergences__zero_at_the_tempered_teacher(teacher, exponent):
    student = (exponent * teacher).requires_grad_()
    divergences = transformed_divergences(student, teacher, exponent)
    divergences.sum().backward()
    assert divergences.abs().max() < 1e-12
    assert student.grad.abs().max() < 1e-12


def test_transformed_divergences__half_precision_and_certain_logits():
    student = torch.tensor([[300.0, -300.0]], dtype=torch.float16).requires_grad_()
    divergences = transformed_divergences(student, -student, 1.0)
    divergences.sum().backward()
    assert divergences.dtype == torch.float32
    assert divergences.item() == pytest.approx(600)
    assert student.grad.isfinite().all()


def test_ttm__terms_and_gradients(student, clips, labels, signal):
    output = student(clips)
    config = TTMConfig(exponent=0.3, kd_weight=5, ce_weight=0.5)
    terms = TTM(config, Shapes.measure(output, signal))(output, signal, labels, epoch=1)
    values = terms.unweighted()
    expected = transformed_divergences(output.logits, signal.logits, 0.3).detach().sum() / 3
    torch.testing.assert_close(values["ttm"], expected)
    torch.testing.assert_close(terms.total.detach(), 0.5 * values["cross_entropy"] + 5 * expected)
    terms.total.backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in student.parameters())
    assert signal.logits.grad is None


def test_ttm__different_classes():
    with pytest.raises(ModelError, match=r"ttm.*\(5,\).*\(7,\)"):
        TTM(TTMConfig(), Shapes(student_classes=5, teacher_classes=7))


def test_ttm__signal_without_logits(labels):
    ttm = TTM(TTMConfig(), Shapes(student_classes=5))
    with pytest.raises(RequirementError, match="no logits"):
        ttm(StudentOutput(torch.zeros(3, 5), {}), TeacherSignal(), labels, epoch=1)


@pytest.mark.parametrize("setting", [{"exponent": 0}, {"kd_weight": -1}, {"tau": 4}])
def test_ttm_config__wrong_setting(setting):
    with pytest.raises(ValidationError, match=next(iter(setting))):
        TTMConfig(**setting)
