import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from featkd.distillers import KD, KDConfig, Shapes, kd_loss
from featkd.errors import ModelError, RequirementError
from featkd.types import StudentOutput, TeacherSignal

logits = st.lists(st.lists(st.floats(-20, 20), min_size=4, max_size=4), min_size=2, max_size=2).map(
    lambda rows: torch.tensor(rows, dtype=torch.float64)
)
taus = st.floats(0.5, 10)


def softened(row, tau):
    exponentials = [math.exp(value / tau) for value in row]
    return [value / sum(exponentials) for value in exponentials]


@settings(max_examples=25, deadline=None)
@given(student=logits, teacher=logits, tau=taus)
def test_kd_loss__compare_with_loop(student, teacher, tau):
    expected = 0.0
    for student_row, teacher_row in zip(student.tolist(), teacher.tolist(), strict=True):
        pairs = zip(softened(student_row, tau), softened(teacher_row, tau), strict=True)
        for student_p, teacher_p in pairs:
            expected += tau**2 * teacher_p * math.log(teacher_p / student_p) / 2
    assert kd_loss(student, teacher, tau).item() == pytest.approx(expected, rel=1e-9, abs=1e-9)


@settings(max_examples=25, deadline=None)
@given(student=logits, teacher=logits, tau=taus, shift=st.floats(-50, 50))
def test_kd_loss__invariant_to_a_shift_of_logits(student, teacher, tau, shift):
    loss = kd_loss(student, teacher, tau)
    torch.testing.assert_close(kd_loss(student + shift, teacher, tau), loss, rtol=1e-6, atol=1e-9)
    torch.testing.assert_close(kd_loss(student, teacher - shift, tau), loss, rtol=1e-6, atol=1e-9)


@settings(max_examples=10, deadline=None)
@given(student=logits, tau=taus)
def test_kd_loss__zero_at_equality(student, tau):
    student.requires_grad_()
    loss = kd_loss(student, student.detach().clone(), tau)
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-12)
    assert student.grad.abs().max() < 1e-12


def test_kd_loss__half_precision_and_certain_logits():
    student = torch.tensor([[300.0, -300.0]], dtype=torch.float16)
    loss = kd_loss(student, -student, tau=1.0)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(600)


def test_kd__terms_and_gradients(student, clips, labels, signal):
    output = student(clips)
    kd = KD(KDConfig(tau=2, kd_weight=3, ce_weight=0.5), Shapes.measure(output, signal))
    terms = kd(output, signal, labels, epoch=1)
    values = terms.unweighted()
    torch.testing.assert_close(values["kd"], kd_loss(output.logits, signal.logits, 2.0).detach())
    expected = 0.5 * values["cross_entropy"] + 3 * values["kd"]
    torch.testing.assert_close(terms.total.detach(), expected)
    terms.total.backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in student.parameters())
    assert signal.logits.grad is None


def test_kd__different_classes():
    with pytest.raises(ModelError, match=r"\(5,\).*\(7,\)"):
        KD(KDConfig(), Shapes(student_classes=5, teacher_classes=7))


def test_kd__signal_without_logits(labels):
    kd = KD(KDConfig(), Shapes(student_classes=5))
    with pytest.raises(RequirementError, match="no logits"):
        kd(StudentOutput(torch.zeros(3, 5), {}), TeacherSignal(), labels, epoch=1)


@pytest.mark.parametrize("setting", [{"tau": 0}, {"kd_weight": -1}, {"temperature": 4}])
def test_kd_config__wrong_setting(setting):
    with pytest.raises(ValidationError, match=next(iter(setting))):
        KDConfig(**setting)
