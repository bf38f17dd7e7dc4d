from typing import get_args

import pytest
import torch
from pydantic import TypeAdapter, ValidationError

from featkd.distillers import (
    DISTILLERS,
    Distiller,
    DistillerSpec,
    Shapes,
    StudentAlone,
    StudentAloneConfig,
    build_distiller,
)
from featkd.types import StudentOutput, TeacherSignal

SPEC = TypeAdapter(DistillerSpec)
SETTINGS = {
    "none": {},
    "kd": {},
    "ctkd": {},
    "dkd": {},
    "lskd": {},
    "dist": {},
    "ttm": {},
    "wttm": {},
    "wkd_logit": {},
    "at": {"layers": ["Mixed_5c"]},
    "collaborative": {"layers": ["Mixed_5c"], "scratch": {"width": 0.02}},
    "fitnets": {},
    "fn": {},
    "mgd": {},
    "simkd": {},
    "srd": {},
    "vkd": {},
    "wkd": {},
    "generative": {},
}


def test_registry__names_and_aliases_are_taken_once():
    for name, entry in DISTILLERS.items():
        assert get_args(entry.config.model_fields["kind"].annotation) == (name,)
    aliases = [alias for entry in DISTILLERS.values() for alias in entry.config.aliases]
    assert len({*DISTILLERS, *aliases}) == len(DISTILLERS) + len(aliases)


@pytest.mark.parametrize("kind", sorted(DISTILLERS))
def test_distiller_spec__alias_reads_as_the_name(kind):
    config = SPEC.validate_python({"kind": kind, **SETTINGS[kind]})
    assert type(config) is DISTILLERS[kind].config
    assert SPEC.validate_json(config.model_dump_json()) == config
    for alias in config.aliases:
        assert SPEC.validate_python({"kind": alias, **SETTINGS[kind]}) == config


@pytest.mark.parametrize("kind", sorted(DISTILLERS))
def test_build_distiller__serves_one_step(kind, student, clips, labels, signal):
    output = student(clips)
    config = SPEC.validate_python({"kind": kind, **SETTINGS[kind]})
    distiller = build_distiller(config, Shapes.measure(output, signal))
    for owned in (distiller.modules, getattr(distiller, "generator", distiller.modules)):
        owned.double()
    assert isinstance(distiller, Distiller)
    assert distiller.requires == config.requires
    terms = distiller(output, signal, labels, epoch=1)
    terms.total.backward()
    assert student.backbone.weight.grad.abs().sum() > 0
    own = [p for p in distiller.modules.parameters() if p.requires_grad]
    assert all(parameter.grad is not None for parameter in own)
    taught = [signal.logits, *signal.features.values(), *signal.attention.values()]
    taught += [signal.classifier.weight, signal.classifier.bias]
    taught += signal.modules["cvae"].parameters()
    assert all(tensor.requires_grad and tensor.grad is None for tensor in taught)


@pytest.mark.parametrize("settings", [{"kind": "kdd"}, {"kind": "none", "tau": 4}, {"tau": 4}])
def test_distiller_spec__wrong_settings(settings):
    with pytest.raises(ValidationError):
        SPEC.validate_python(settings)


def test_student_alone__is_cross_entropy(labels):
    logits = torch.tensor([[1.0, 2, 0, 0, 1], [0, 0, 3, 0, 1], [1, 1, 1, 0, 0]])
    alone = StudentAlone(StudentAloneConfig(), Shapes(student_classes=5))
    total = alone(StudentOutput(logits, {}), TeacherSignal(), labels, epoch=1).total
    expected = -sum(
        logits[sample].log_softmax(dim=0)[label] for sample, label in enumerate(labels.tolist())
    )
    torch.testing.assert_close(total, expected / 3)


def test_shapes__measured_from_meta_tensors(student, clips, signal):
    output = student.to("meta")(clips.to("meta"))
    shapes = Shapes.measure(output, signal)
    assert shapes == Shapes(
        student_classes=5,
        student_features={"Mixed_5c": (6, 4, 3, 3)},
        student_attention=(6, 4),
        student_classifier=(5, 6),
        student_projected=(6, 4, 3, 3),
        student_clips=(3, 4, 3, 3),
        teacher_classes=5,
        teacher_features={
            "Mixed_5c.full": (6, 4, 3, 3),
            "Mixed_5c.pooled": (6,),
            "Mixed_5c.moments": (2, 6),
            "Mixed_5c.frame_moments": (2, 6, 4),
            "Mixed_5c.spatial_attention": (4, 3, 3),
        },
        teacher_attention={"Mixed_5c": (6, 4)},
        teacher_classifier=(5, 6),
        teacher_cvae=(6, 3, 3),
    )
