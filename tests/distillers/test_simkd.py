from dataclasses import replace

import pytest
import torch
from pydantic import ValidationError

from featkd.distillers import Shapes, SimKD, SimKDConfig
from featkd.distillers.simkd import projected_map_loss
from featkd.errors import ModelError, RequirementError
from featkd.models import ModelSpec, ProjectorSpec, ReusedClassifierSpec, VideoClassifier
from featkd.types import LinearClassifier, TapSpec, TeacherSignal

FITTING = {
    "student_classes": 5,
    "student_projected": (9, 4, 3, 3),
    "teacher_features": {"Mixed_5c.full": (9, 4, 3, 3)},
    "teacher_classifier": (5, 9),
}


def test_projected_map_loss__compare_with_loop():
    generator = torch.Generator().manual_seed(0)
    projected, target = torch.randn(2, 2, 3, 2, 2, 2, generator=generator).double()
    differences = [
        (a - b) ** 2
        for a, b in zip(projected.flatten().tolist(), target.flatten().tolist(), strict=True)
    ]
    value = projected_map_loss(projected, target)
    assert value.item() == pytest.approx(sum(differences) / len(differences), rel=1e-12)


def test_projected_map_loss__pools_the_larger():
    projected, target = torch.rand(2, 3, 4, 3, 6).double(), torch.rand(2, 3, 2, 6, 3).double()
    own = projected.unflatten(2, (2, 2)).mean(3).unflatten(4, (3, 2)).mean(5)
    taught = target.unflatten(3, (3, 2)).mean(4)
    torch.testing.assert_close(
        projected_map_loss(projected, target), (own - taught).square().mean()
    )


def test_projected_map_loss__half_precision():
    projected, target = torch.full((2, 1, 1, 1, 1), 300.0).half(), torch.zeros(2, 1, 1, 1, 1)
    assert projected_map_loss(projected, target) == 90000


def test_simkd__zero_when_the_projected_map_is_the_teachers(student, clips, labels, signal):
    output = student(clips)
    taught = replace(signal, features={"Mixed_5c.full": output.projected.detach()})
    terms = SimKD(SimKDConfig(), Shapes.measure(output, taught))(output, taught, labels, epoch=1)
    terms.total.backward()
    assert terms.total == 0
    assert student.backbone.weight.grad.abs().max() == 0


def test_projected_map_loss__no_gradient_to_the_teacher():
    student, teacher = (torch.rand(4, 5, 2, 3, 3, requires_grad=True) for _ in range(2))
    projected_map_loss(student, teacher).backward()
    assert student.grad.abs().sum() > 0
    assert teacher.grad is None


def test_simkd__terms_and_gradients(student, clips, labels, signal):
    output = student(clips)
    config = SimKDConfig(feature_weight=3, ce_weight=0.5)
    simkd = SimKD(config, Shapes.measure(output, signal))
    terms = simkd(output, signal, labels, epoch=1)
    values = terms.unweighted()
    torch.testing.assert_close(
        terms.total.detach(), 0.5 * values["cross_entropy"] + 3 * values["simkd"]
    )
    terms.total.backward()
    assert student.backbone.weight.grad.abs().sum() > 0
    assert all(tensor.grad is None for tensor in signal.features.values())
    assert not list(simkd.modules.parameters())


def test_simkd__needs_no_labels_by_default(student, clips, labels, signal):
    output = student(clips)
    simkd = SimKD(SimKDConfig(), Shapes.measure(output, signal))
    totals = [simkd(output, signal, y, epoch=1).total for y in (labels, labels.flip(0))]
    assert totals[0] == totals[1]


def test_simkd__a_student_with_the_teachers_classifier():
    torch.manual_seed(0)
    spec = ModelSpec(
        width=0.0625,
        reused_classifier=ReusedClassifierSpec(
            channels=9, size=(2, 1, 1), projector=SimKDConfig().requires.student_projector
        ),
    )
    network = VideoClassifier(spec, 5, (3, 16, 64, 64))
    classifier = LinearClassifier(torch.randn(5, 9), torch.randn(5))
    network.reuse_classifier(classifier)
    target = torch.rand(2, 9, 2, 1, 1)
    signal = TeacherSignal(features={"Mixed_5c.full": target}, classifier=classifier)
    output = network(torch.randn(2, 3, 16, 64, 64))
    # Two frames: the one frame logit is that of the average over time.
    assert output.projected is not None
    torch.testing.assert_close(output.logits, classifier(output.projected.mean(dim=(2, 3, 4))))
    simkd = SimKD(SimKDConfig(), Shapes.measure(output, signal))
    simkd(output, signal, torch.tensor([0, 1]), epoch=1).total.backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in network.projector.parameters())
    assert network.backbone.Mixed_5c.b0.conv3d.weight.grad.abs().sum() > 0
    assert network.backbone.logits.conv3d.weight.grad is None


def test_simkd_config__requires():
    requires = SimKDConfig(reduction=4, temporal_kernel=3).requires
    assert requires.taps == (TapSpec("Mixed_5c", "full"),)
    assert requires.classifier
    assert requires.student_projector == ProjectorSpec(reduction=4, temporal_kernel=3)
    assert not requires.logits


def test_simkd__what_does_not_go_together():
    SimKD(SimKDConfig(), Shapes(**FITTING))
    for changed, message in (
        ({"student_projected": (6, 4, 3, 3)}, r"\(6, 4, 3, 3\).*\(9, 4, 3, 3\).*channels"),
        ({"student_projected": None}, "no projected map"),
    ):
        with pytest.raises(ModelError, match=message):
            SimKD(SimKDConfig(), Shapes(**{**FITTING, **changed}))
    with pytest.raises(RequirementError, match="no classifier"):
        SimKD(SimKDConfig(), Shapes(**{**FITTING, "teacher_classifier": None}))
    with pytest.raises(RequirementError, match=r"'Mixed_5c.full'"):
        SimKD(SimKDConfig(), Shapes(**{**FITTING, "teacher_features": {}}))


def test_simkd__student_without_a_projector(student, clips, labels, signal):
    output = student(clips)
    simkd = SimKD(SimKDConfig(), Shapes.measure(output, signal))
    with pytest.raises(ModelError, match="no projected map"):
        simkd(replace(output, projected=None), signal, labels, epoch=1)


@pytest.mark.parametrize(
    "setting", [{"reduction": 0}, {"temporal_kernel": 2}, {"layer": "Mixed_4f"}]
)
def test_simkd_config__wrong_setting(setting):
    with pytest.raises(ValidationError, match=next(iter(setting))):
        SimKDConfig(**setting)
