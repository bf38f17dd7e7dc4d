import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from featkd.distillers import SRD, Shapes, SRDConfig, kd_loss
from featkd.distillers.srd import log_power_loss, standardise
from featkd.errors import ModelError, RequirementError
from featkd.types import StudentOutput, TapSpec, TeacherSignal


def draw(seed, *shape):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def standardised_by_loop(rows):
    columns = []
    for column in zip(*rows, strict=True):
        mean = sum(column) / len(column)
        variance = sum((value - mean) ** 2 for value in column) / len(column)
        columns.append([(value - mean) / math.sqrt(variance + 1e-4) for value in column])
    return columns


def test_srd__compare_with_loop(student, clips, labels, make_signal):
    output, signal = student(clips), make_signal((7, 4, 3, 3))
    srd = SRD(SRDConfig(), Shapes.measure(output, signal))
    projector = srd.modules["projector"].double()
    value = srd(output, signal, labels, epoch=1).unweighted()["srd"]
    projected = []
    for volume in output.features["Mixed_5c"].tolist():
        feature = [sum(x for t in c for y in t for x in y) / 36 for c in volume]
        rows = zip(projector.weight.tolist(), projector.bias.tolist(), strict=True)
        projected.append(
            [sum(w * f for w, f in zip(row, feature, strict=True)) + bias for row, bias in rows]
        )
    own = standardised_by_loop(projected)
    taught = standardised_by_loop(signal.features["Mixed_5c.pooled"].tolist())
    total = sum(
        (a - b) ** 4
        for column, target in zip(own, taught, strict=True)
        for a, b in zip(column, target, strict=True)
    )
    assert value.item() == pytest.approx(math.log(total), rel=1e-9)


@settings(max_examples=25, deadline=None)
@given(scale=st.floats(0.1, 100), shift=st.floats(-10, 10))
def test_log_power_loss__invariant_to_scale_and_shift_of_channels(scale, shift):
    # Large variances: beside them the constant in the denominator is nothing.
    student, teacher = 1e4 * draw(0, 6, 5), 1e4 * draw(1, 6, 5)
    channels = torch.arange(1, 6, dtype=torch.float64)
    loss = log_power_loss(student, teacher)
    for changed in (
        (student * scale * channels + shift * channels, teacher),
        (student, teacher * scale * channels + shift * channels),
    ):
        torch.testing.assert_close(log_power_loss(*changed), loss, rtol=1e-6, atol=1e-6)


def test_log_power_loss__answers_to_the_ratio_of_distances():
    teacher, direction = draw(0, 8, 5), draw(1, 8, 5)
    losses, slopes = [], []
    for distance in (1e-4, 1e-3):
        student = (teacher + distance * direction).requires_grad_()
        loss = log_power_loss(student, teacher)
        loss.backward()
        losses.append(loss.item())
        slopes.append(student.grad.norm().item())
    # Ten times as far: the logarithm of a fourth power rises by 4 log 10, its slope is a tenth.
    assert losses[1] - losses[0] == pytest.approx(4 * math.log(10), rel=1e-2)
    assert slopes[0] / slopes[1] == pytest.approx(10, rel=1e-2)


def test_standardise__against_batch_norm_in_training():
    norm = torch.nn.BatchNorm1d(5, eps=1e-4, affine=False).double()
    features = draw(0, 6, 5)
    torch.testing.assert_close(standardise(features), norm(features))


def test_standardise__one_sample():
    with pytest.raises(ModelError, match=r"1 sample.*two or more"):
        standardise(torch.zeros(1, 5))


def test_log_power_loss__half_precision():
    student = torch.tensor([[1000.0, 0.1], [-1000.0, 0.3], [500.0, 0.7]]).half()
    loss = log_power_loss(student, -student)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, log_power_loss(student.float(), -student.float()))


def test_log_power_loss__no_gradient_to_the_teacher():
    student, teacher = (torch.rand(4, 5, requires_grad=True) for _ in range(2))
    log_power_loss(student, teacher).backward()
    assert student.grad.abs().sum() > 0
    assert teacher.grad is None


def test_srd__terms_and_gradients(student, clips, labels, make_signal):
    output, signal = student(clips), make_signal((7, 4, 3, 3))
    srd = SRD(SRDConfig(), Shapes.measure(output, signal))
    srd.modules.double()
    terms = srd(output, signal, labels, epoch=1)
    values = terms.unweighted()
    torch.testing.assert_close(values["kd"], kd_loss(output.logits, signal.logits, 1.0).detach())
    expected = values["cross_entropy"] + 2 * values["srd"] + values["kd"]
    torch.testing.assert_close(terms.total.detach(), expected)
    terms.total.backward()
    assert student.backbone.weight.grad.abs().sum() > 0
    assert srd.modules["projector"].weight.grad.abs().sum() > 0
    assert all(tensor.grad is None for tensor in signal.features.values())
    assert signal.logits.grad is None


def test_srd_config__requires():
    requires = SRDConfig(layer="a", teacher_layer="b").requires
    assert requires.taps == (TapSpec("b", "pooled"),)
    assert requires.student_layers == ("a",)
    assert requires.logits
    assert not SRDConfig(kd_weight=0).requires.logits


def test_srd__without_logits(student, clips, labels, signal):
    output = student(clips)
    pooled = TeacherSignal(features=signal.features)
    srd = SRD(SRDConfig(kd_weight=0), Shapes.measure(output, pooled))
    srd.modules.double()
    assert set(srd(output, pooled, labels, epoch=1).unweighted()) == {"cross_entropy", "srd"}
    srd = SRD(SRDConfig(), Shapes.measure(output, pooled))
    srd.modules.double()
    with pytest.raises(RequirementError, match="no logits"):
        srd(output, pooled, labels, epoch=1)


def test_srd__what_is_missing_or_differs():
    features = {"Mixed_5c": (6, 4, 3, 3)}
    with pytest.raises(ModelError, match=r"\(5,\).*\(7,\)"):
        SRD(SRDConfig(), Shapes(student_classes=5, teacher_classes=7, student_features=features))
    with pytest.raises(RequirementError, match=r"'Mixed_5c.pooled'"):
        SRD(SRDConfig(), Shapes(student_classes=5, student_features=features))
    with pytest.raises(ModelError, match="'Mixed_5c'"):
        SRD(SRDConfig(), Shapes(student_classes=5))


def test_srd__batch_of_one(signal):
    output = StudentOutput(
        torch.zeros(1, 5, dtype=torch.float64), {"Mixed_5c": torch.rand(1, 6, 4, 3, 3).double()}
    )
    srd = SRD(SRDConfig(), Shapes.measure(output, signal))
    srd.modules.double()
    first = TeacherSignal(signal.logits[:1], {"Mixed_5c.pooled": torch.rand(1, 6).double()})
    with pytest.raises(ModelError, match="1 sample"):
        srd(output, first, torch.tensor([0]), epoch=1)


@pytest.mark.parametrize("setting", [{"weight": -1}, {"tau": 0}, {"power": 4}])
def test_srd_config__wrong_setting(setting):
    with pytest.raises(ValidationError, match=next(iter(setting))):
        SRDConfig(**setting)
