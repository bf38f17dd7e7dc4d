import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from featkd.distillers import WTTM, Shapes, WTTMConfig
from featkd.distillers.wttm import power_sum
from featkd.errors import ModelError, RequirementError
from featkd.types import StudentOutput, TeacherSignal

logits = st.lists(st.lists(st.floats(-20, 20), min_size=4, max_size=4), min_size=2, max_size=2).map(
    lambda rows: torch.tensor(rows, dtype=torch.float64)
)
exponents = st.floats(0.1, 0.9)


def probabilities(row):
    exponentials = [math.exp(value) for value in row]
    return [value / sum(exponentials) for value in exponentials]


@settings(max_examples=25, deadline=None)
@given(student=logits, teacher=logits, exponent=exponents)
def test_wttm__compare_with_loop(student, teacher, exponent):
    expected = 0.0
    for student_row, teacher_row in zip(student.tolist(), teacher.tolist(), strict=True):
        powers = [p**exponent for p in probabilities(teacher_row)]
        for power, p in zip(powers, probabilities(student_row), strict=True):
            # sum(powers) times q * log(q / p), where q is the power over their sum
            expected += power * math.log(power / sum(powers) / p) / 2
    output, signal = StudentOutput(student, {}), TeacherSignal(logits=teacher)
    wttm = WTTM(WTTMConfig(exponent=exponent), Shapes.measure(output, signal))
    terms = wttm(output, signal, torch.tensor([0, 1]), epoch=1)
    assert terms.unweighted()["wttm"].item() == pytest.approx(expected, rel=1e-8, abs=1e-9)


@settings(max_examples=25, deadline=None)
@given(teacher=logits, exponent=exponents)
def test_power_sum__between_certain_and_undecided(teacher, exponent):
    weights = power_sum(teacher, exponent)
    assert (weights >= 1 - 1e-12).all()
    assert (weights <= 4 ** (1 - exponent) + 1e-12).all()


def test_power_sum__at_its_bounds_in_half_precision():
    teacher = torch.tensor([[600.0, -600, -600, -600], [7, 7, 7, 7]], dtype=torch.float16)
    weights = power_sum(teacher, 0.5)
    assert weights.dtype == torch.float32
    torch.testing.assert_close(weights, torch.tensor([1.0, 2.0]))


def test_wttm__terms_and_gradients(student, clips, labels, signal):
    output = student(clips)
    config = WTTMConfig(exponent=0.3, kd_weight=5, ce_weight=0.5)
    terms = WTTM(config, Shapes.measure(output, signal))(output, signal, labels, epoch=1)
    values = terms.unweighted()
    expected = 0.5 * values["cross_entropy"] + 5 * values["wttm"]
    torch.testing.assert_close(terms.total.detach(), expected)
    terms.total.backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in student.parameters())
    assert signal.logits.grad is None


def test_wttm__different_classes():
    with pytest.raises(ModelError, match=r"wttm.*\(5,\).*\(7,\)"):
        WTTM(WTTMConfig(), Shapes(student_classes=5, teacher_classes=7))


def test_wttm__signal_without_logits(labels):
    wttm = WTTM(WTTMConfig(), Shapes(student_classes=5))
    with pytest.raises(RequirementError, match="no logits"):
        wttm(StudentOutput(torch.zeros(3, 5), {}), TeacherSignal(), labels, epoch=1)


@pytest.mark.parametrize("setting", [{"exponent": 0}, {"kd_weight": -1}, {"tau": 4}])
def test_wttm_config__wrong_setting(setting):
    with pytest.raises(ValidationError, match=next(iter(setting))):
        WTTMConfig(**setting)
