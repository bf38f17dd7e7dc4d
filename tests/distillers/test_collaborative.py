import pytest
import torch
from pydantic import ValidationError

from featkd.distillers import Collaborative, CollaborativeConfig, Shapes, hint_loss
from featkd.errors import ModelError, RequirementError
from featkd.types import StudentOutput, TapSpec, TeacherSignal

SMALL = {"layers": ("Mixed_5c",), "scratch": {"width": 0.02, "dropout": 0.0}}


def build(output, signal, **settings):
    config = CollaborativeConfig(**{**SMALL, **settings})
    distiller = Collaborative(config, Shapes.measure(output, signal))
    distiller.modules.double()
    return distiller


def touched(module):
    return {
        name
        for name, parameter in module.named_parameters()
        if parameter.grad is not None and parameter.grad.abs().sum() > 0
    }


def test_hint_loss__compare_with_loop():
    student, scratch = torch.randn(2, 3, 4, dtype=torch.float64)
    expected = sum(
        (a - s) ** 2
        for student_row, scratch_row in zip(student.tolist(), scratch.tolist(), strict=True)
        for s, a in zip(student_row, scratch_row, strict=True)
    )
    assert hint_loss(student, scratch).item() == pytest.approx(expected / 3, rel=1e-12)
    assert hint_loss(student, student).item() == 0


def test_hint_loss__teaches_the_student_only():
    student = torch.zeros(2, 3, requires_grad=True)
    scratch = torch.ones(2, 3, requires_grad=True)
    hint_loss(student, scratch).backward()
    assert student.grad.tolist() == [[-1.0] * 3] * 2
    assert scratch.grad is None


def test_collaborative__every_network_gets_its_gradients(student, clips, labels, signal):
    output = student(clips)
    distiller = build(output, signal)
    terms = distiller(output, signal, labels, epoch=1)
    names = [term.name for term in terms]
    assert names == ["cross_entropy", "scratch", "hint", "at.Mixed_5c"]
    terms.total.backward()
    assert touched(student) == set(dict(student.named_parameters()))
    assert touched(distiller.modules["scratch"].backbone.logits)
    assert all(value.grad is None for value in signal.features.values())


def test_collaborative__released_attention_is_the_scratch_teachers(student, clips, labels, signal):
    output = student(clips)
    distiller = build(output, signal, attention_of="released")
    (term,) = [t for t in distiller(output, signal, labels, 1) if t.name == "at.Mixed_5c"]
    term.value.backward()
    assert not touched(student)
    # With one time step and one position a normalised map is 1 wherever it is not 0.
    assert distiller.modules["scratch"].layer_shapes["Mixed_5c"][1:] == (1, 1, 1)


def test_collaborative__needs():
    config = CollaborativeConfig(layers=("a", "b"), teacher_layers=("x", "y"))
    assert config.requires.taps == (
        TapSpec("x", "spatial_attention"),
        TapSpec("y", "spatial_attention"),
    )
    assert config.requires.student_layers == ("a", "b")


def test_collaborative__student_that_hides_its_clips(signal):
    features = {"Mixed_5c": (6, 4, 3, 3)}
    with pytest.raises(ModelError, match="clips"):
        Collaborative(CollaborativeConfig(**SMALL), Shapes(5, student_features=features))


def test_collaborative__signal_without_taps(student, clips, labels, signal):
    output = student(clips)
    distiller = build(output, signal)
    with pytest.raises(RequirementError, match="spatial_attention"):
        distiller(output, TeacherSignal(), labels, epoch=1)
    hidden = StudentOutput(output.logits, output.features)
    with pytest.raises(ModelError, match="clips"):
        distiller(hidden, signal, labels, epoch=1)


def test_collaborative__layers_that_do_not_pair():
    with pytest.raises(ValidationError, match="as many"):
        CollaborativeConfig(layers=("a", "b"), teacher_layers=("x",))
