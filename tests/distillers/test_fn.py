import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from torch.nn import functional as F

from featkd.distillers import FN, FNConfig, Shapes
from featkd.distillers.fn import cap_norm, soft_cross_entropy
from featkd.errors import ModelError, RequirementError
from featkd.types import StudentOutput, TapSpec, TeacherSignal

FITTING = {
    "student_classes": 5,
    "student_features": {"Mixed_5c": (6, 4, 3, 3)},
    "student_classifier": (5, 6),
    "teacher_features": {"Mixed_5c.pooled": (9,)},
    "teacher_classifier": (5, 9),
}


def capped(feature, cap):
    squared = sum(value * value for value in feature)
    return [value * min(math.sqrt(squared), cap) / math.sqrt(squared + 1e-10) for value in feature]


def probabilities(logits):
    exponentials = [math.exp(value) for value in logits]
    return [value / sum(exponentials) for value in exponentials]


def scores(classifier, feature):
    rows = zip(classifier.weight.tolist(), classifier.bias.tolist(), strict=True)
    return [sum(w * f for w, f in zip(row, feature, strict=True)) + bias for row, bias in rows]


@pytest.mark.parametrize("cap", [0.5, 2.0, 8.0])
def test_fn__compare_with_loop(cap, student, clips, labels, signal):
    output = student(clips)
    fn = FN(FNConfig(cap=cap), Shapes.measure(output, signal))
    values = fn(output, signal, labels, epoch=1).unweighted()
    losses, norms = [], []
    for volume, target in zip(
        output.features["Mixed_5c"].tolist(),
        signal.features["Mixed_5c.pooled"].tolist(),
        strict=True,
    ):
        feature = [sum(x for t in c for y in t for x in y) / 36 for c in volume]
        own = probabilities(scores(output.classifier, capped(feature, cap)))
        taught = probabilities(scores(signal.classifier, capped(target, cap)))
        losses.append(-sum(t * math.log(s) for t, s in zip(taught, own, strict=True)))
        norms.append(math.sqrt(sum(value * value for value in feature)))
    assert values["fn"].item() == pytest.approx(sum(losses) / 3, rel=1e-9)
    assert values["feature_norm"].item() == pytest.approx(sum(norms) / 3, rel=1e-9)


@settings(max_examples=25, deadline=None)
@given(scale=st.floats(1e-3, 1e3), cap=st.floats(0.1, 10))
def test_cap_norm__shortens_and_leaves_alone(scale, cap):
    generator = torch.Generator().manual_seed(0)
    features = scale * torch.randn(4, 7, generator=generator, dtype=torch.float64)
    lengths = features.norm(dim=1)
    result = cap_norm(features, cap)
    torch.testing.assert_close(result.norm(dim=1), lengths.clamp(max=cap), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(
        F.cosine_similarity(result, features), torch.ones(4, dtype=torch.float64)
    )


def test_cap_norm__of_nothing_is_nothing():
    features = torch.zeros(2, 7, requires_grad=True)
    cap_norm(features, 2.0).sum().backward()
    assert (cap_norm(features, 2.0) == 0).all()
    assert features.grad.isfinite().all()


def test_cap_norm__gradient_along_the_feature():
    short, long = torch.tensor([[0.3, 0.4]]).double(), torch.tensor([[30.0, 40.0]]).double()
    for feature, expected in ((short, 1.0), (long, 0.0)):
        feature.requires_grad_()
        cap_norm(feature, 2.0).norm().backward()
        along = (feature.grad * feature.detach() / feature.detach().norm()).sum()
        assert along.item() == pytest.approx(expected, abs=1e-6)


def test_fn__below_the_cap_is_plain_soft_cross_entropy(student, clips, labels, signal):
    output = student(clips)
    fn = FN(FNConfig(cap=1e6), Shapes.measure(output, signal))
    value = fn(output, signal, labels, epoch=1).unweighted()["fn"]
    pooled = output.features["Mixed_5c"].mean(dim=(2, 3, 4))
    target = signal.classifier(signal.features["Mixed_5c.pooled"]).softmax(dim=1)
    expected = -(target * output.classifier(pooled).log_softmax(dim=1)).sum(dim=1).mean()
    torch.testing.assert_close(value, expected.detach())


def test_soft_cross_entropy__least_at_equality():
    logits = torch.tensor([[1.0, 2.0, -1.0], [0.0, 0.5, 3.0]], dtype=torch.float64)
    student = logits.clone().requires_grad_()
    soft_cross_entropy(student, logits).backward()
    assert student.grad.abs().max() < 1e-12


def test_soft_cross_entropy__half_precision_and_certain_logits():
    student = torch.tensor([[300.0, -300.0]], dtype=torch.float16)
    loss = soft_cross_entropy(student, -student)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(600)


def test_soft_cross_entropy__no_gradient_to_the_teacher():
    student, teacher = (torch.rand(4, 5, requires_grad=True) for _ in range(2))
    soft_cross_entropy(student, teacher).backward()
    assert student.grad.abs().sum() > 0
    assert teacher.grad is None


def test_fn__terms_and_gradients(student, clips, labels, signal):
    output = student(clips)
    fn = FN(FNConfig(weight=3, ce_weight=0.5), Shapes.measure(output, signal))
    terms = fn(output, signal, labels, epoch=1)
    values = terms.unweighted()
    torch.testing.assert_close(
        terms.total.detach(), 0.5 * values["cross_entropy"] + 3 * values["fn"]
    )
    terms.total.backward()
    assert student.backbone.weight.grad.abs().sum() > 0
    assert student.classifier.weight.grad.abs().sum() > 0
    assert student.classifier.bias.grad.abs().sum() > 0
    assert all(tensor.grad is None for tensor in signal.features.values())
    assert signal.classifier.weight.grad is None
    assert signal.classifier.bias.grad is None


def test_fn_config__requires():
    requires = FNConfig(layer="a", teacher_layer="b").requires
    assert requires.taps == (TapSpec("b", "pooled"),)
    assert requires.student_layers == ("a",)
    assert requires.classifier


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"student_classifier": None}, "gives no classifier"),
        ({"student_classifier": (5, 7)}, r"student's classifier.*\(5, 7\).* 6 channels"),
        ({"teacher_classifier": (5, 8)}, r"teacher's classifier.*\(5, 8\).* 9 channels"),
        ({"teacher_classifier": (4, 9)}, r"\(5, 6\).*\(4, 9\).*same classes"),
        ({"student_features": {}}, "'Mixed_5c'"),
    ],
)
def test_fn__shapes_that_do_not_go_together(changed, message):
    FN(FNConfig(), Shapes(**FITTING))
    with pytest.raises(ModelError, match=message):
        FN(FNConfig(), Shapes(**{**FITTING, **changed}))


def test_fn__what_the_signal_lacks(student, clips, labels, signal):
    with pytest.raises(RequirementError, match="no classifier"):
        FN(FNConfig(), Shapes(**{**FITTING, "teacher_classifier": None}))
    with pytest.raises(RequirementError, match=r"'Mixed_5c.pooled'"):
        FN(FNConfig(), Shapes(**{**FITTING, "teacher_features": {}}))
    output = student(clips)
    fn = FN(FNConfig(), Shapes.measure(output, signal))
    with pytest.raises(RequirementError, match="no classifier"):
        fn(output, TeacherSignal(features=signal.features), labels, epoch=1)
    with pytest.raises(ModelError, match="gives no classifier"):
        fn(StudentOutput(output.logits, output.features), signal, labels, epoch=1)


@pytest.mark.parametrize("setting", [{"cap": 0}, {"weight": -1}, {"tau": 4}])
def test_fn_config__wrong_setting(setting):
    with pytest.raises(ValidationError, match=next(iter(setting))):
        FNConfig(**setting)
