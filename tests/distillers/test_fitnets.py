from itertools import product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from featkd.distillers import FitNets, FitNetsConfig, Shapes
from featkd.distillers.fitnets import Regressor, hint_regression_loss
from featkd.errors import ModelError, RequirementError
from featkd.types import StudentOutput, TapSpec, TeacherSignal


def double_regressor(student, teacher):
    regressor = Regressor(student, teacher).double()
    with torch.no_grad():
        regressor.norm.weight.uniform_(0.5, 2)
        regressor.norm.bias.uniform_(-0.5, 0.5)
    return regressor


def normalised(maps, norm):
    """Batch norm and ReLU, channel by channel."""
    result = torch.empty_like(maps)
    for channel in range(maps.shape[1]):
        values = maps[:, channel]
        centred = (values - values.mean()) / (values.var(correction=0) + 1e-5).sqrt()
        result[:, channel] = (centred * norm.weight[channel] + norm.bias[channel]).clamp(min=0)
    return result


def convolved_by_loop(maps, regressor, size, stride, padding):
    """Every output from the inputs under its kernel; positions outside count 0."""
    weight, bias = regressor.convolution.weight, regressor.convolution.bias
    result = torch.empty(len(maps), len(bias), *size, dtype=maps.dtype)
    result[:] = bias[:, None, None, None]
    for place in product(*map(range, size)):
        for tap in product(*map(range, weight.shape[2:])):
            source = [p * s + k - e for p, s, k, e in zip(place, stride, tap, padding, strict=True)]
            if all(0 <= at < n for at, n in zip(source, maps.shape[2:], strict=True)):
                result[(..., *place)] += maps[(..., *source)] @ weight[(..., *tap)].T
    return result


def transposed_by_loop(maps, regressor, size, stride, padding):
    """Every input adds the kernel, times itself, to the output."""
    weight, bias = regressor.convolution.weight, regressor.convolution.bias
    result = torch.empty(len(maps), len(bias), *size, dtype=maps.dtype)
    result[:] = bias[:, None, None, None]
    for place in product(*map(range, maps.shape[2:])):
        for tap in product(*map(range, weight.shape[2:])):
            target = [p * s + k - e for p, s, k, e in zip(place, stride, tap, padding, strict=True)]
            if all(0 <= at < n for at, n in zip(target, size, strict=True)):
                result[(..., *target)] += maps[(..., *place)] @ weight[(..., *tap)]
    return result


@pytest.mark.parametrize(
    ("student", "teacher", "kernel", "stride", "padding"),
    [
        ((2, 3, 3), (2, 3, 3), (1, 1, 1), (1, 1, 1), (0, 0, 0)),
        ((2, 4, 4), (2, 2, 2), (1, 3, 3), (1, 2, 2), (0, 1, 1)),
        ((4, 3, 5), (2, 3, 2), (3, 1, 4), (2, 1, 1), (1, 0, 0)),
        ((2, 5, 5), (2, 3, 3), (1, 3, 3), (1, 1, 1), (0, 0, 0)),
        ((1, 7, 7), (1, 4, 4), (1, 4, 4), (1, 1, 1), (0, 0, 0)),
    ],
)
def test_fitnets__compare_with_loop(student, teacher, kernel, stride, padding):
    generator = torch.Generator().manual_seed(0)
    maps, target = (
        torch.randn(2, channels, *size, generator=generator, dtype=torch.float64)
        for channels, size in ((3, student), (4, teacher))
    )
    output = StudentOutput(torch.zeros(2, 5, dtype=torch.float64), {"Mixed_5c": maps})
    signal = TeacherSignal(features={"Mixed_5c.full": target})
    fitnets = FitNets(FitNetsConfig(), Shapes.measure(output, signal))
    regressor = fitnets.modules["regressor"] = double_regressor((3, *student), (4, *teacher))
    assert regressor.convolution.weight.shape == (4, 3, *kernel)
    convolved = convolved_by_loop(maps, regressor, teacher, stride, padding)
    expected = (normalised(convolved, regressor.norm) - target).square().mean()
    value = fitnets(output, signal, torch.tensor([0, 1]), epoch=1).unweighted()["hint"]
    torch.testing.assert_close(value, expected.detach())


@pytest.mark.parametrize(
    ("student", "teacher", "kernel", "stride", "padding"),
    [
        ((2, 3, 3), (2, 6, 6), (1, 4, 4), (1, 2, 2), (0, 1, 1)),
        ((2, 3, 2), (4, 3, 4), (4, 1, 4), (2, 1, 2), (1, 0, 1)),
    ],
)
def test_regressor__transposed_compare_with_loop(student, teacher, kernel, stride, padding):
    maps = torch.randn(2, 3, *student, dtype=torch.float64)
    regressor = double_regressor((3, *student), (4, *teacher))
    assert regressor.convolution.weight.shape == (3, 4, *kernel)
    convolved = transposed_by_loop(maps, regressor, teacher, stride, padding)
    torch.testing.assert_close(regressor(maps), normalised(convolved, regressor.norm))


@settings(max_examples=40, deadline=None)
@given(
    student=st.tuples(*[st.integers(1, 8)] * 3),
    teacher=st.tuples(*[st.integers(1, 8)] * 3),
)
def test_regressor__gives_the_teachers_shape_or_names_both(student, teacher):
    pairs = list(zip(student, teacher, strict=True))
    shrinks = all(s >= t for s, t in pairs)
    grows = all(s == t or 2 * s == t for s, t in pairs)
    if shrinks or grows:
        regressed = Regressor((3, *student), (4, *teacher))(torch.rand(2, 3, *student))
        assert regressed.shape == (2, 4, *teacher)
    else:
        with pytest.raises(ModelError) as caught:
            Regressor((3, *student), (4, *teacher))
        assert str((3, *student)) in str(caught.value)
        assert str((4, *teacher)) in str(caught.value)


def test_regressor__time_folded_into_the_batch():
    # A kernel of 1 in time sees every time step by itself, and so does batch norm.
    maps = torch.randn(2, 3, 4, 5, 5)
    regressor = Regressor((3, 4, 5, 5), (6, 4, 3, 3))
    folded = regressor(maps.transpose(1, 2).flatten(0, 1).unsqueeze(2))
    expected = folded.squeeze(2).unflatten(0, (2, 4)).transpose(1, 2)
    torch.testing.assert_close(regressor(maps), expected, rtol=1e-4, atol=1e-5)


def test_fitnets__zero_at_equality(student, clips, labels, signal):
    output = student(clips)
    fitnets = FitNets(FitNetsConfig(ce_weight=0), Shapes.measure(output, signal))
    regressor = fitnets.modules["regressor"].double()
    taught = TeacherSignal(
        features={"Mixed_5c.full": regressor(output.features["Mixed_5c"]).detach()}
    )
    fitnets(output, taught, labels, epoch=1).total.backward()
    assert fitnets(output, taught, labels, epoch=1).unweighted()["hint"] == 0
    assert student.backbone.weight.grad.abs().max() == 0


def test_hint_regression_loss__half_precision():
    student, teacher = torch.full((2, 1, 1, 1, 1), 300.0).half(), torch.zeros(2, 1, 1, 1, 1)
    assert hint_regression_loss(student, teacher) == 90000


def test_hint_regression_loss__no_gradient_to_the_teacher():
    student, teacher = (torch.rand(4, 5, 2, 3, 3, requires_grad=True) for _ in range(2))
    hint_regression_loss(student, teacher).backward()
    assert student.grad.abs().sum() > 0
    assert teacher.grad is None


def test_fitnets__terms_and_gradients(student, clips, labels, signal):
    output = student(clips)
    fitnets = FitNets(FitNetsConfig(weight=3, ce_weight=0.5), Shapes.measure(output, signal))
    fitnets.modules.double()
    terms = fitnets(output, signal, labels, epoch=1)
    values = terms.unweighted()
    torch.testing.assert_close(
        terms.total.detach(), 0.5 * values["cross_entropy"] + 3 * values["hint"]
    )
    terms.total.backward()
    assert student.backbone.weight.grad.abs().sum() > 0
    # Batch norm takes the convolution's bias away again.
    parameters = dict(fitnets.modules["regressor"].named_parameters())
    del parameters["convolution.bias"]
    assert all(parameter.grad.abs().sum() > 0 for parameter in parameters.values())
    assert all(tensor.grad is None for tensor in signal.features.values())


def test_fitnets_config__requires():
    requires = FitNetsConfig(layer="a", teacher_layer="b").requires
    assert requires.taps == (TapSpec("b", "full"),)
    assert requires.student_layers == ("a",)
    assert FitNetsConfig(layer="a").tap == TapSpec("a", "full")


def test_fitnets__shapes_without_a_regressor():
    shapes = Shapes(
        student_classes=5,
        student_features={"Mixed_5c": (6, 2, 4, 4)},
        teacher_features={"Mixed_5c.full": (9, 4, 2, 2)},
    )
    with pytest.raises(ModelError, match=r"\(6, 2, 4, 4\).*\(9, 4, 2, 2\)"):
        FitNets(FitNetsConfig(), shapes)


def test_fitnets__missing_layers():
    shapes = Shapes(student_classes=5, student_features={"Mixed_5c": (6, 4, 3, 3)})
    with pytest.raises(RequirementError, match=r"'Mixed_5c.full'"):
        FitNets(FitNetsConfig(), shapes)
    with pytest.raises(ModelError, match="'Mixed_4f'"):
        FitNets(FitNetsConfig(layer="Mixed_4f"), shapes)


@pytest.mark.parametrize("setting", [{"weight": -1}, {"layers": ["a"]}])
def test_fitnets_config__wrong_setting(setting):
    with pytest.raises(ValidationError, match=next(iter(setting))):
        FitNetsConfig(**setting)
