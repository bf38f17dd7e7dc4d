import math
from dataclasses import replace

import pytest
import torch
from pydantic import ValidationError

from featkd.distillers import (
    Collaborative,
    CollaborativeConfig,
    CombinedConfig,
    Requirements,
    Shapes,
    hint_loss,
)
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


NAN = float("nan")
REPLAYED = {"scratch_source": "trajectory"}


def with_trajectory(signal, *rows):
    trajectory = torch.tensor([[value] * 5 for value in rows], dtype=torch.float64)
    return replace(signal, trajectory=trajectory)


def test_collaborative__replayed_hint_compare_with_loop(student, clips, labels, signal):
    output = student(clips)
    signal = with_trajectory(signal, 0.5, NAN, -2.0)
    terms = {t.name: t for t in build(output, signal, **REPLAYED)(output, signal, labels, 1)}
    assert list(terms) == ["cross_entropy", "hint", "at.Mixed_5c"]
    expected = sum(
        (a - s) ** 2
        for student_row, replayed_row in zip(
            output.logits.tolist(), signal.trajectory.tolist(), strict=True
        )
        for s, a in zip(student_row, replayed_row, strict=True)
        if not math.isnan(a)
    )
    assert terms["hint"].value.item() == pytest.approx(expected / 3, rel=1e-12)
    (gradient,) = torch.autograd.grad(terms["hint"].value, output.logits, retain_graph=True)
    assert gradient[0].tolist() == pytest.approx((2 * (output.logits[0] - 0.5) / 3).tolist())
    assert gradient[1].tolist() == [0.0] * 5


def test_collaborative__nothing_to_replay(student, clips, labels, signal):
    output = student(clips)
    signal = with_trajectory(signal, NAN, NAN, NAN)
    terms = build(output, signal, **REPLAYED)(output, signal, labels, 1)
    assert {term.name: term.value.item() for term in terms}["hint"] == 0
    terms.total.backward()
    assert all(parameter.grad.isfinite().all() for parameter in student.parameters())


def test_collaborative__replayed_terms_are_those_of_the_live_network(
    student, clips, labels, signal
):
    output = student(clips)
    live = build(output, signal)
    live.modules["scratch"].eval()
    expected = {t.name: (t.weight, t.value) for t in live(output, signal, labels, 1)}
    signal = replace(signal, trajectory=live.modules["scratch"](clips).logits.detach())
    distiller = build(output, signal, **REPLAYED)
    assert not list(distiller.modules.parameters())
    for term in distiller(output, signal, labels, 1):
        assert term.weight == expected[term.name][0]
        assert term.value.item() == pytest.approx(expected[term.name][1].item(), rel=1e-12)


def test_collaborative__needs_of_replay():
    config = CollaborativeConfig(layers=("a",), **REPLAYED)
    assert config.requires == Requirements(
        trajectory=True, taps=(TapSpec("a", "spatial_attention"),), student_layers=("a",)
    )
    assert config.requires.cached_names() == ["trajectory", "a.spatial_attention"]
    assert not CollaborativeConfig().requires.trajectory
    parts = {"one": {"kind": "kd"}, "two": config.model_dump()}
    assert CombinedConfig(parts=parts).requires.trajectory


def test_collaborative__signal_without_trajectory(student, clips, labels, signal):
    output = student(clips)
    wanted = r"only be read from a cache.*record_logits=true.*featkd train, featkd extract"
    with pytest.raises(RequirementError, match=wanted):
        build(output, signal, **REPLAYED)
    distiller = build(output, with_trajectory(signal, 1, 2, 3), **REPLAYED)
    with pytest.raises(RequirementError, match=wanted):
        distiller(output, signal, labels, 1)


def test_collaborative__trajectory_of_other_classes(student, clips, signal):
    signal = replace(signal, logits=None, trajectory=torch.zeros(3, 7))
    with pytest.raises(ModelError, match=r"shape \(5,\) and those of the trajectory \(7,\)"):
        build(student(clips), signal, **REPLAYED)


def test_collaborative__replayed_logits_learn_no_attention():
    with pytest.raises(ValidationError, match="no maps to learn attention"):
        CollaborativeConfig(attention_of="released", **REPLAYED)
