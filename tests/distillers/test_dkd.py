import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from featkd.distillers import DKD, DKDConfig, Shapes, kd_loss
from featkd.distillers.dkd import nckd_loss, tckd_loss
from featkd.distillers.lskd import standardise_logits
from featkd.errors import ModelError, RequirementError
from featkd.types import StudentOutput, TeacherSignal

logits = st.lists(st.lists(st.floats(-20, 20), min_size=4, max_size=4), min_size=2, max_size=2).map(
    lambda rows: torch.tensor(rows, dtype=torch.float64)
)
classes = st.lists(st.integers(0, 3), min_size=2, max_size=2).map(torch.tensor)
taus = st.floats(1, 10)


def softened(row, tau):
    exponentials = [math.exp(value / tau) for value in row]
    return [value / sum(exponentials) for value in exponentials]


def divergence(teacher, student):
    return sum(t * math.log(t / s) for t, s in zip(teacher, student, strict=True))


@settings(max_examples=25, deadline=None)
@given(student=logits, teacher=logits, labels=classes, tau=taus)
def test_dkd_losses__compare_with_loop(student, teacher, labels, tau):
    tckd = nckd = 0.0
    rows = zip(student.tolist(), teacher.tolist(), labels.tolist(), strict=True)
    for student_row, teacher_row, label in rows:
        p, q = softened(teacher_row, tau), softened(student_row, tau)
        # The rest is summed up: 1 - p would lose the digits of a certain network.
        p_rest, q_rest = (sum(row[:label] + row[label + 1 :]) for row in (p, q))
        tckd += tau**2 * divergence((p[label], p_rest), (q[label], q_rest)) / 2
        others = [
            [value / rest for index, value in enumerate(row) if index != label]
            for row, rest in ((p, p_rest), (q, q_rest))
        ]
        nckd += tau**2 * divergence(*others) / 2
    assert tckd_loss(student, teacher, labels, tau).item() == pytest.approx(
        tckd, rel=1e-8, abs=1e-9
    )
    assert nckd_loss(student, teacher, labels, tau).item() == pytest.approx(
        nckd, rel=1e-8, abs=1e-9
    )


@settings(max_examples=25, deadline=None)
@given(student=logits, teacher=logits, labels=classes, tau=taus)
def test_dkd_losses__sum_to_plain_distillation(student, teacher, labels, tau):
    for row in range(2):
        sample = slice(row, row + 1)
        z_s, z_t, label = student[sample], teacher[sample], labels[sample]
        rest = 1 - (z_t / tau).softmax(dim=1)[0, label]
        both = tckd_loss(z_s, z_t, label, tau) + rest * nckd_loss(z_s, z_t, label, tau)
        torch.testing.assert_close(both.squeeze(), kd_loss(z_s, z_t, tau), rtol=1e-8, atol=1e-9)


@settings(max_examples=10, deadline=None)
@given(student=logits, labels=classes, tau=taus)
def test_dkd_losses__zero_at_equality(student, labels, tau):
    student.requires_grad_()
    teacher = student.detach().clone()
    losses = tckd_loss(student, teacher, labels, tau), nckd_loss(student, teacher, labels, tau)
    sum(losses).backward()
    assert max(abs(loss.item()) for loss in losses) < 1e-10
    assert student.grad.abs().max() < 1e-10


@settings(max_examples=10, deadline=None)
@given(student=logits, teacher=logits, tau=taus, change=st.floats(-9, 9))
def test_nckd_loss__blind_to_the_target(student, teacher, tau, change):
    labels = torch.tensor([1, 3])
    loss = nckd_loss(student, teacher, labels, tau)
    changed = student.clone()
    changed[[0, 1], labels] += change
    assert nckd_loss(changed, teacher, labels, tau) == loss


def test_dkd_losses__half_precision_and_certain_logits():
    student = torch.tensor([[300.0, -300, -300]], dtype=torch.float16).requires_grad_()
    teacher, labels = -student.detach(), torch.tensor([0])
    tckd = tckd_loss(student, teacher, labels, tau=1.0)
    nckd = nckd_loss(student, teacher, labels, tau=1.0)
    (tckd + nckd).backward()
    assert tckd.dtype == nckd.dtype == torch.float32
    # The teacher is certain of the rest, to which the student gives 2 * exp(-600).
    assert tckd.item() == pytest.approx(600 - math.log(2))
    assert nckd.item() == pytest.approx(0, abs=1e-6)
    assert student.grad.tolist() == [[1, -0.5, -0.5]]


def test_dkd_losses__two_classes_have_no_relation_to_learn():
    student = torch.tensor([[1.0, 2]])
    assert nckd_loss(student, -student, torch.tensor([0]), tau=1.0).item() == 0


@pytest.mark.parametrize(("epoch", "ramp"), [(1, 0.1), (5, 0.5), (10, 1.0), (30, 1.0)])
def test_dkd__terms_and_gradients(student, clips, labels, signal, epoch, ramp):
    output = student(clips)
    config = DKDConfig(tau=2, alpha=3, beta=5, warmup_epochs=10, ce_weight=0.5)
    terms = DKD(config, Shapes.measure(output, signal))(output, signal, labels, epoch)
    values = terms.unweighted()
    tckd = tckd_loss(output.logits, signal.logits, labels, 2.0).detach()
    nckd = nckd_loss(output.logits, signal.logits, labels, 2.0).detach()
    torch.testing.assert_close(values["tckd"], tckd)
    torch.testing.assert_close(values["nckd"], nckd)
    expected = 0.5 * values["cross_entropy"] + ramp * (3 * tckd + 5 * nckd)
    torch.testing.assert_close(terms.total.detach(), expected)
    terms.total.backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in student.parameters())
    assert signal.logits.grad is None


def test_dkd__standardised_logits(student, clips, labels, signal):
    output = student(clips)
    config = DKDConfig(tau=2, standardise=True)
    terms = DKD(config, Shapes.measure(output, signal))(output, signal, labels, epoch=1)
    standard = standardise_logits(output.logits), standardise_logits(signal.logits)
    expected = nckd_loss(*standard, labels, 2.0)
    assert expected != nckd_loss(output.logits, signal.logits, labels, 2.0)
    torch.testing.assert_close(terms.unweighted()["nckd"], expected.detach())
    terms.total.backward()
    assert signal.logits.grad is None


def test_dkd__different_classes():
    with pytest.raises(ModelError, match=r"dkd.*\(5,\).*\(7,\)"):
        DKD(DKDConfig(), Shapes(student_classes=5, teacher_classes=7))


def test_dkd__signal_without_logits(labels):
    dkd = DKD(DKDConfig(), Shapes(student_classes=5))
    with pytest.raises(RequirementError, match="no logits"):
        dkd(StudentOutput(torch.zeros(3, 5), {}), TeacherSignal(), labels, epoch=1)


@pytest.mark.parametrize(
    "setting", [{"tau": 0}, {"alpha": -1}, {"warmup_epochs": 0}, {"warmup": 4}]
)
def test_dkd_config__wrong_setting(setting):
    with pytest.raises(ValidationError, match=next(iter(setting))):
        DKDConfig(**setting)
