import pytest
import torch
from pydantic import TypeAdapter, ValidationError
from torch.testing import assert_close

from featkd.distillers import (
    AT,
    KD,
    ATConfig,
    Combined,
    CombinedConfig,
    DistillerSpec,
    Generative,
    KDConfig,
    Shapes,
    build_distiller,
    generative_part,
)

SPEC = TypeAdapter(DistillerSpec)
PARTS = {
    "soft": {"kind": "kd", "tau": 2.0, "kd_weight": 3.0},
    "looking": {"kind": "at", "layers": ["Mixed_5c"], "beta": 10.0},
}


def test_combined__is_the_weighted_sum_with_one_cross_entropy(student, clips, labels, signal):
    output = student(clips)
    shapes = Shapes.measure(output, signal)
    settings = {"kind": "combined", "parts": PARTS, "weights": {"soft": 0.5}, "ce_weight": 2.0}
    combined = build_distiller(SPEC.validate_python(settings), shapes)
    terms = combined(output, signal, labels, epoch=1)
    assert [term.name for term in terms] == ["cross_entropy", "soft.kd", "looking.at.Mixed_5c"]
    kd = KD(KDConfig(tau=2.0), shapes)(output, signal, labels, 1).unweighted()
    at = AT(ATConfig(layers=("Mixed_5c",)), shapes)(output, signal, labels, 1).unweighted()
    expected = 2 * kd["cross_entropy"] + 0.5 * 3 * kd["kd"] + 10 * at["at.Mixed_5c"]
    assert_close(terms.total.detach(), expected)


def test_combined__needs_are_joined():
    config = CombinedConfig(parts=PARTS)
    assert config.requires == KDConfig().requires | ATConfig(layers=("Mixed_5c",)).requires


def test_combined__modules_are_kept_apart(student, clips, labels, make_signal):
    signal = make_signal(shape=(8, 4, 3, 3))
    output = student(clips)
    parts = {name: {"kind": "generative", "kd_gen_weight": 0} for name in ("ours",)} | {
        name: {"kind": "collaborative", "layers": ["Mixed_5c"], "scratch": {"width": 0.02}}
        for name in ("first", "second")
    }
    combined = Combined(CombinedConfig(parts=parts), Shapes.measure(output, signal))
    combined.modules.double()
    combined.parts["ours"].generator.double()
    names = {name.split(".")[0] for name, _ in combined.modules.named_parameters()}
    assert names == {"ours", "first", "second"}
    combined(output, signal, labels, epoch=1).total.backward()
    for name in names:
        gradients = [p.grad for p in combined.modules[name].parameters() if p.grad is not None]
        assert sum(float(gradient.abs().sum()) for gradient in gradients) > 0


def test_generative_part(student, clips, signal):
    shapes = Shapes.measure(student(clips), signal)
    combined = build_distiller(
        CombinedConfig(parts={"ours": {"kind": "generative"}, "soft": {"kind": "kd"}}), shapes
    )
    part = generative_part(combined)
    assert isinstance(part, Generative)
    assert generative_part(part) is part
    assert generative_part(KD(KDConfig(), shapes)) is None


def test_combined__survives_json():
    config = SPEC.validate_python({"kind": "sum", "parts": PARTS, "weights": {"soft": 0.5}})
    assert type(config) is CombinedConfig
    assert SPEC.validate_json(config.model_dump_json()) == config


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"parts": {}}, "at least 1"),
        ({"parts": {"a.b": {"kind": "kd"}}}, "pattern"),
        ({"parts": {"a": {"kind": "combined", "parts": PARTS}}}, "no distiller has that kind"),
        ({"parts": PARTS, "weights": {"hard": 1.0}}, "names of parts"),
        ({"parts": PARTS, "weights": {"soft": -1.0}}, "greater than or equal"),
        ({"parts": {"a": {"kind": "generative"}, "b": {"kind": "ours"}}}, "at most one"),
        ({"parts": {"a": {"kind": "generative", "classifier_loss": "released"}}}, "'ce'"),
    ],
)
def test_combined__parts_that_do_not_go_together(settings, message):
    with pytest.raises(ValidationError, match=message):
        CombinedConfig(**settings)


def test_combined__same_result_whatever_the_order(student, clips, labels, signal):
    output = student(clips)
    shapes = Shapes.measure(output, signal)
    totals = [
        Combined(CombinedConfig(parts=parts), shapes)(output, signal, labels, 1).total
        for parts in (PARTS, dict(reversed(PARTS.items())))
    ]
    assert_close(*totals)
    assert torch.isfinite(totals[0])
