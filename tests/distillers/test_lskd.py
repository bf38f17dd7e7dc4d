import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from featkd.distillers import LSKD, LSKDConfig, Shapes
from featkd.distillers.lskd import lskd_loss, standardise_logits
from featkd.errors import ModelError, RequirementError
from featkd.types import StudentOutput, TeacherSignal

logits = st.lists(
    st.lists(st.floats(-20, 20), min_size=4, max_size=4).filter(
        lambda row: max(row) - min(row) > 1
    ),
    min_size=2,
    max_size=2,
).map(lambda rows: torch.tensor(rows, dtype=torch.float64))
taus = st.floats(0.5, 10)


def standardised(row):
    mean = sum(row) / len(row)
    variance = sum((value - mean) ** 2 for value in row) / (len(row) - 1)
    return [(value - mean) / (math.sqrt(variance) + 1e-7) for value in row]


def softened(row, tau):
    exponentials = [math.exp(value / tau) for value in row]
    return [value / sum(exponentials) for value in exponentials]


@settings(max_examples=25, deadline=None)
@given(student=logits, teacher=logits, tau=taus)
def test_lskd_loss__compare_with_loop(student, teacher, tau):
    expected = 0.0
    for rows in zip(student.tolist(), teacher.tolist(), strict=True):
        student_row, teacher_row = (softened(standardised(row), tau) for row in rows)
        for student_p, teacher_p in zip(student_row, teacher_row, strict=True):
            expected += tau**2 * teacher_p * math.log(teacher_p / student_p) / 2
    assert lskd_loss(student, teacher, tau).item() == pytest.approx(expected, rel=1e-9, abs=1e-9)


@settings(max_examples=25, deadline=None)
@given(
    student=logits,
    teacher=logits,
    tau=taus,
    scales=st.lists(st.floats(0.1, 10), min_size=2, max_size=2),
    shifts=st.lists(st.floats(-50, 50), min_size=2, max_size=2),
)
def test_lskd_loss__invariant_to_scale_and_shift_of_each_sample(
    student, teacher, tau, scales, shifts
):
    loss = lskd_loss(student, teacher, tau)
    scale, shift = torch.tensor([scales]).double().T, torch.tensor([shifts]).double().T
    # The 1e-7 beside the standard deviation bounds how exact this is.
    tolerance = {"rtol": 1e-4, "atol": 1e-6}
    torch.testing.assert_close(lskd_loss(scale * student + shift, teacher, tau), loss, **tolerance)
    torch.testing.assert_close(lskd_loss(student, scale * teacher + shift, tau), loss, **tolerance)


@settings(max_examples=10, deadline=None)
@given(student=logits, tau=taus)
def test_lskd_loss__zero_at_equality(student, tau):
    student.requires_grad_()
    loss = lskd_loss(student, student.detach().clone(), tau)
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-12)
    assert student.grad.abs().max() < 1e-12


def test_standardise_logits__mean_and_deviation():
    standard = standardise_logits(torch.tensor([[1.0, 2, 3], [10, 30, 80]]).double())
    torch.testing.assert_close(standard.mean(dim=1), torch.zeros(2).double())
    torch.testing.assert_close(standard.std(dim=1), torch.ones(2).double())


def test_standardise_logits__equal_logits_are_finite():
    logits = torch.ones(2, 4, requires_grad=True)
    standard = standardise_logits(logits)
    standard.sum().backward()
    assert (standard == 0).all()
    assert logits.grad.isfinite().all()


def test_lskd_loss__half_precision_and_certain_logits():
    student = torch.tensor([[300.0, -300.0]], dtype=torch.float16)
    loss = lskd_loss(student, -student, tau=1.0)
    assert loss.dtype == torch.float32
    # Two standardised logits are half a square root of two apart from zero.
    difference = math.sqrt(2)
    assert loss.item() == pytest.approx(difference * math.tanh(difference / 2), rel=1e-5)


def test_lskd__terms_and_gradients(student, clips, labels, signal):
    output = student(clips)
    lskd = LSKD(LSKDConfig(tau=3, kd_weight=5, ce_weight=0.5), Shapes.measure(output, signal))
    terms = lskd(output, signal, labels, epoch=1)
    values = terms.unweighted()
    expected = lskd_loss(output.logits, signal.logits, 3.0).detach()
    torch.testing.assert_close(values["lskd"], expected)
    torch.testing.assert_close(terms.total.detach(), 0.5 * values["cross_entropy"] + 5 * expected)
    terms.total.backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in student.parameters())
    assert signal.logits.grad is None


def test_lskd__different_classes():
    with pytest.raises(ModelError, match=r"lskd.*\(5,\).*\(7,\)"):
        LSKD(LSKDConfig(), Shapes(student_classes=5, teacher_classes=7))


def test_lskd__signal_without_logits(labels):
    lskd = LSKD(LSKDConfig(), Shapes(student_classes=5))
    with pytest.raises(RequirementError, match="no logits"):
        lskd(StudentOutput(torch.zeros(3, 5), {}), TeacherSignal(), labels, epoch=1)


@pytest.mark.parametrize("setting", [{"tau": 0}, {"kd_weight": -1}, {"temperature": 4}])
def test_lskd_config__wrong_setting(setting):
    with pytest.raises(ValidationError, match=next(iter(setting))):
        LSKDConfig(**setting)
