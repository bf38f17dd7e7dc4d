import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from featkd.distillers import CTKD, CTKDConfig, Shapes, kd_loss
from featkd.distillers.ctkd import (
    GlobalTemperature,
    InstanceTemperature,
    ctkd_loss,
    curriculum_multiplier,
    instance_ctkd_loss,
    scale_gradient,
)
from featkd.errors import ModelError, RequirementError
from featkd.types import StudentOutput, TeacherSignal

logits = st.lists(st.lists(st.floats(-20, 20), min_size=4, max_size=4), min_size=2, max_size=2).map(
    lambda rows: torch.tensor(rows, dtype=torch.float64)
)
taus = st.floats(1, 21)


def softened(row, tau):
    exponentials = [math.exp(value / tau) for value in row]
    return [value / sum(exponentials) for value in exponentials]


def sample_loss(student_row, teacher_row, tau, added=0.0):
    loss = 0.0
    for student_p, teacher_p in zip(
        softened(student_row, tau), softened(teacher_row, tau), strict=True
    ):
        target = teacher_p + added
        loss += tau**2 * target * math.log(target / student_p)
    return loss


@settings(max_examples=25, deadline=None)
@given(student=logits, teacher=logits, tau=taus)
def test_ctkd_loss__compare_with_loop(student, teacher, tau):
    rows = zip(student.tolist(), teacher.tolist(), strict=True)
    expected = sum(sample_loss(*pair, tau) for pair in rows) / 2
    loss = ctkd_loss(student, teacher, torch.tensor([tau], dtype=torch.float64))
    assert loss.item() == pytest.approx(expected, rel=1e-9, abs=1e-9)


@settings(max_examples=25, deadline=None)
@given(student=logits, teacher=logits, tau=st.tuples(taus, taus))
def test_instance_ctkd_loss__compare_with_loop(student, teacher, tau):
    rows = zip(student.tolist(), teacher.tolist(), tau, strict=True)
    expected = sum(sample_loss(*sample, added=1e-7) for sample in rows) / 2
    loss = instance_ctkd_loss(student, teacher, torch.tensor(tau, dtype=torch.float64))
    assert loss.item() == pytest.approx(expected, rel=1e-9, abs=1e-9)


@settings(max_examples=25, deadline=None)
@given(student=logits, teacher=logits, tau=taus)
def test_ctkd_loss__gradient_of_tau_is_the_slope(student, teacher, tau):
    temperature = torch.tensor([tau], dtype=torch.float64, requires_grad=True)
    ctkd_loss(student, teacher, temperature).backward()
    step = 1e-4
    higher, lower = (kd_loss(student, teacher, tau + sign * step) for sign in (1, -1))
    slope = (higher - lower).item() / (2 * step)
    assert temperature.grad.item() == pytest.approx(slope, rel=1e-4, abs=1e-6)


@settings(max_examples=10, deadline=None)
@given(student=logits, tau=taus)
def test_ctkd_loss__zero_at_equality(student, tau):
    student.requires_grad_()
    temperature = torch.tensor([tau], dtype=torch.float64, requires_grad=True)
    loss = ctkd_loss(student, student.detach().clone(), temperature)
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-11)
    assert student.grad.abs().max() < 1e-11
    assert temperature.grad.abs().max() < 1e-11


@pytest.mark.parametrize("loss", [ctkd_loss, instance_ctkd_loss])
def test_ctkd_losses__half_precision_and_certain_logits(loss):
    student = torch.tensor([[300.0, -300.0]], dtype=torch.float16).requires_grad_()
    tau = torch.ones(1, requires_grad=True)
    value = loss(student, -student, tau)
    value.backward()
    assert value.dtype == torch.float32
    assert value.item() == pytest.approx(600, rel=1e-5)
    assert student.grad.isfinite().all()
    assert tau.grad.isfinite().all()


@pytest.mark.parametrize("factor", [-1.0, -0.25, 0.0])
def test_scale_gradient__leaves_the_value(factor):
    tensor = torch.tensor([2.0, 3.0], requires_grad=True)
    scaled = scale_gradient(tensor, factor)
    (scaled**2).sum().backward()
    assert scaled.tolist() == [2, 3]
    assert tensor.grad.tolist() == [4 * factor, 6 * factor]


def test_curriculum_multiplier__grows_to_full_reversal():
    cosine = [curriculum_multiplier(epoch, 10, "cosine") for epoch in (0, 1, 5, 10, 99)]
    assert cosine == pytest.approx([0, math.cos(math.pi / 10) / 2 - 0.5, -0.5, -1, -1])
    linear = [curriculum_multiplier(epoch, 10, "linear") for epoch in (0, 1, 5, 9, 10, 99)]
    assert linear == pytest.approx([0, -0.1, -0.5, -0.9, -0.9, -0.9])


def test_global_temperature__starts_and_stays_in_range():
    logits = torch.zeros(3, 5)
    temperature = GlobalTemperature(1.0, 20.0)
    assert temperature(logits, logits).item() == pytest.approx(1 + 20 / (1 + math.exp(-1)))
    for theta, bound in ((-100.0, 1), (100.0, 21)):
        torch.nn.init.constant_(temperature.theta, theta)
        assert temperature(logits, logits).item() == pytest.approx(bound)


def test_instance_temperature__one_for_each_sample():
    student, teacher = torch.randn(6, 5).requires_grad_(), 9 * torch.randn(6, 5)
    temperature = InstanceTemperature(5, 8, 1.0, 20.0)
    tau = temperature(student, teacher)
    assert tau.shape == (6,)
    assert ((tau > 1) & (tau < 21)).all()
    assert tau.std() > 0
    torch.testing.assert_close(temperature(student[2:3], teacher[2:3]), tau[2:3])
    tau.sum().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in temperature.parameters())
    assert student.grad is None


@pytest.mark.parametrize("epoch", [1, 5, 30])
def test_ctkd__temperature_climbs_the_loss(student, clips, labels, signal, epoch):
    output = student(clips)
    ctkd = CTKD(CTKDConfig(kd_weight=3, ce_weight=0.5), Shapes.measure(output, signal))
    theta = ctkd.modules["temperature"].theta
    assert theta.dtype == torch.float32
    terms = ctkd(output, signal, labels, epoch)
    values = terms.unweighted()
    tau = values["temperature"].item()
    torch.testing.assert_close(values["ctkd"], kd_loss(output.logits, signal.logits, tau).detach())
    expected = 0.5 * values["cross_entropy"] + 3 * values["ctkd"]
    torch.testing.assert_close(terms.total.detach(), expected)
    terms.total.backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in student.parameters())
    assert signal.logits.grad is None

    plain = theta.detach().clone().requires_grad_()
    unreversed = ctkd_loss(output.logits.detach(), signal.logits.detach(), 1 + 20 * plain.sigmoid())
    (3 * unreversed).backward()
    assert plain.grad.abs() > 0
    factor = curriculum_multiplier(epoch, 10, "cosine")
    torch.testing.assert_close(theta.grad, factor * plain.grad)


def test_ctkd__the_student_descends_as_in_plain_distillation(student, clips, labels, signal):
    output = student(clips)
    ctkd = CTKD(CTKDConfig(kd_weight=1, ce_weight=0), Shapes.measure(output, signal))
    terms = ctkd(output, signal, labels, epoch=30)
    tau = terms.unweighted()["temperature"].item()
    (found,) = torch.autograd.grad(terms.total, output.logits, retain_graph=True)
    (expected,) = torch.autograd.grad(kd_loss(output.logits, signal.logits, tau), output.logits)
    torch.testing.assert_close(found, expected)


def test_ctkd__instance_terms_and_gradients(student, clips, labels, signal):
    output = student(clips)
    config = CTKDConfig(temperature="instance", hidden=8, kd_weight=3, ce_weight=0.5)
    ctkd = CTKD(config, Shapes.measure(output, signal))
    terms = ctkd(output, signal, labels, epoch=5)
    values = terms.unweighted()
    tau = ctkd.modules["temperature"](output.logits, signal.logits).detach()
    torch.testing.assert_close(values["temperature"], tau.sum() / 3)
    expected = instance_ctkd_loss(output.logits, signal.logits, tau).detach()
    torch.testing.assert_close(values["ctkd"], expected)
    terms.total.backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in student.parameters())
    assert all(parameter.grad.abs().sum() > 0 for parameter in ctkd.modules.parameters())
    assert signal.logits.grad is None


def test_ctkd__different_classes():
    with pytest.raises(ModelError, match=r"ctkd.*\(5,\).*\(7,\)"):
        CTKD(CTKDConfig(), Shapes(student_classes=5, teacher_classes=7))


def test_ctkd__signal_without_logits(labels):
    ctkd = CTKD(CTKDConfig(), Shapes(student_classes=5))
    with pytest.raises(RequirementError, match="no logits"):
        ctkd(StudentOutput(torch.zeros(3, 5), {}), TeacherSignal(), labels, epoch=1)


@pytest.mark.parametrize(
    "setting",
    [
        {"tau_min": 0},
        {"tau_range": 0},
        {"curriculum_epochs": 0},
        {"curriculum_epochs": 1, "schedule": "linear"},
        {"temperature": 4},
        {"tau": 4},
    ],
)
def test_ctkd_config__wrong_setting(setting):
    with pytest.raises(ValidationError, match=next(iter(setting))):
        CTKDConfig(**setting)
