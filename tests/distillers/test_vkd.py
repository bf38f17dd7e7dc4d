import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from torch.nn import functional as F

from featkd.distillers import Shapes, VkD, VkDConfig, kd_loss
from featkd.distillers.vkd import normalised_target_loss
from featkd.errors import ModelError, RequirementError
from featkd.types import TapSpec, TeacherSignal

CHANNELS = [4, 6, 9]
"""Of the teacher; the student has 6."""


def build(output, signal, **settings):
    vkd = VkD(VkDConfig(**settings), Shapes.measure(output, signal))
    vkd.modules.double()
    return vkd


def gram(projector):
    weight = projector.weight
    return weight.T @ weight if weight.shape[0] >= weight.shape[1] else weight @ weight.T


@pytest.mark.parametrize("channels", CHANNELS)
def test_vkd__compare_with_loop(channels, student, clips, labels, make_signal):
    output, signal = student(clips), make_signal((channels, 4, 3, 3))
    vkd = build(output, signal)
    value = vkd(output, signal, labels, epoch=1).unweighted()["vkd"]
    weight = vkd.modules["projector"].weight.tolist()
    losses = []
    for volume, target in zip(
        output.features["Mixed_5c"].tolist(),
        signal.features["Mixed_5c.pooled"].tolist(),
        strict=True,
    ):
        feature = [sum(x for t in c for y in t for x in y) / 36 for c in volume]
        mean = sum(target) / len(target)
        variance = sum((value - mean) ** 2 for value in target) / len(target)
        for row, taught in zip(weight, target, strict=True):
            own = sum(w * f for w, f in zip(row, feature, strict=True))
            distance = abs(own - (taught - mean) / math.sqrt(variance + 1e-5))
            losses.append(distance**2 / 2 if distance < 1 else distance - 0.5)
    assert value.item() == pytest.approx(sum(losses) / len(losses), rel=1e-9)


@pytest.mark.parametrize("channels", CHANNELS)
def test_vkd__stays_orthonormal_in_training(channels, student, clips, labels, make_signal):
    output, signal = student(clips), make_signal((channels, 4, 3, 3))
    vkd = build(output, signal, ce_weight=0, kd_weight=0)
    projector = vkd.modules["projector"]
    before = projector.weight.detach().clone()
    optimiser = torch.optim.SGD(vkd.modules.parameters(), lr=0.5, weight_decay=0.01)
    for _ in range(10):
        optimiser.zero_grad()
        vkd(student(clips), signal, labels, epoch=1).total.backward()
        optimiser.step()
        product = gram(projector)
        identity = torch.eye(len(product), dtype=torch.float64)
        # It begins in float32.
        torch.testing.assert_close(product, identity, rtol=0, atol=1e-6)
    assert (projector.weight - before).norm() > 1e-3


def test_vkd__keeps_distances_of_a_narrow_student(student, clips, labels, make_signal):
    vkd = build(student(clips), make_signal((9, 4, 3, 3)))
    features = torch.randn(5, 6, dtype=torch.float64)
    torch.testing.assert_close(
        torch.cdist(vkd.modules["projector"](features), vkd.modules["projector"](features)),
        torch.cdist(features, features),
        rtol=1e-5,
        atol=0,
    )


@settings(max_examples=25, deadline=None)
@given(scale=st.floats(0.1, 100), shift=st.floats(-10, 10))
def test_normalised_target_loss__invariant_to_scale_and_shift_of_the_teacher(scale, shift):
    student, teacher = torch.rand(4, 7).double(), 1e4 * torch.rand(4, 7).double()
    torch.testing.assert_close(
        normalised_target_loss(student, scale * teacher + shift),
        normalised_target_loss(student, teacher),
        rtol=1e-6,
        atol=0,
    )


def test_normalised_target_loss__zero_at_equality():
    teacher = torch.rand(4, 7).double()
    student = F.layer_norm(teacher, (7,)).requires_grad_()
    loss = normalised_target_loss(student, teacher)
    loss.backward()
    assert loss == 0
    assert (student.grad == 0).all()


def test_normalised_target_loss__half_precision():
    teacher = torch.tensor([[300.0, -300.0]]).half()
    loss = normalised_target_loss(torch.zeros(1, 2).half(), teacher)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(0.5)


def test_normalised_target_loss__no_gradient_to_the_teacher():
    student, teacher = (torch.rand(4, 5, requires_grad=True) for _ in range(2))
    normalised_target_loss(student, teacher).backward()
    assert student.grad.abs().sum() > 0
    assert teacher.grad is None


def test_vkd__terms_and_gradients(student, clips, labels, make_signal):
    output, signal = student(clips), make_signal((9, 4, 3, 3))
    vkd = build(output, signal, weight=3, kd_weight=2, ce_weight=0.5)
    terms = vkd(output, signal, labels, epoch=1)
    values = terms.unweighted()
    torch.testing.assert_close(values["kd"], kd_loss(output.logits, signal.logits, 1.0).detach())
    expected = 0.5 * values["cross_entropy"] + 3 * values["vkd"] + 2 * values["kd"]
    torch.testing.assert_close(terms.total.detach(), expected)
    terms.total.backward()
    assert student.backbone.weight.grad.abs().sum() > 0
    (parameter,) = vkd.modules.parameters()
    assert parameter.grad.abs().sum() > 0
    assert all(tensor.grad is None for tensor in signal.features.values())
    assert signal.logits.grad is None


@pytest.mark.parametrize("channels", CHANNELS)
def test_vkd__the_projection_survives_a_checkpoint(channels, student, clips, make_signal):
    output, signal = student(clips), make_signal((channels, 4, 3, 3))
    trained, fresh = build(output, signal), build(output, signal)
    with torch.no_grad():
        trained.modules["projector"].parametrizations.weight.original.add_(0.1)
    fresh.modules.load_state_dict(trained.modules.state_dict())
    assert torch.equal(fresh.modules["projector"].weight, trained.modules["projector"].weight)


def test_vkd_config__requires():
    requires = VkDConfig(layer="a", teacher_layer="b").requires
    assert requires.taps == (TapSpec("b", "pooled"),)
    assert requires.student_layers == ("a",)
    assert requires.logits
    assert not VkDConfig(kd_weight=0).requires.logits


def test_vkd__without_logits(student, clips, labels, signal):
    output = student(clips)
    pooled = TeacherSignal(features=signal.features)
    values = build(output, pooled, kd_weight=0)(output, pooled, labels, epoch=1).unweighted()
    assert set(values) == {"cross_entropy", "vkd"}
    with pytest.raises(RequirementError, match="no logits"):
        build(output, pooled)(output, pooled, labels, epoch=1)


def test_vkd__what_is_missing_or_differs():
    features = {"Mixed_5c": (6, 4, 3, 3)}
    with pytest.raises(ModelError, match=r"\(5,\).*\(7,\)"):
        VkD(VkDConfig(), Shapes(student_classes=5, teacher_classes=7, student_features=features))
    with pytest.raises(RequirementError, match=r"'Mixed_5c.pooled'"):
        VkD(VkDConfig(), Shapes(student_classes=5, student_features=features))
    with pytest.raises(ModelError, match="'Mixed_5c'"):
        VkD(VkDConfig(), Shapes(student_classes=5))


@pytest.mark.parametrize("setting", [{"weight": -1}, {"tau": 0}, {"alpha": 1}])
def test_vkd_config__wrong_setting(setting):
    with pytest.raises(ValidationError, match=next(iter(setting))):
        VkDConfig(**setting)
