"""Collaborative teaching against the original code, in float64."""

import pytest
import torch

from featkd.distillers import CollaborativeConfig
from featkd.distillers.collaborative import collaborative_terms
from featkd.types import StudentOutput, TeacherSignal

LAYERS = ("g0", "g1", "g2")


def relative(actual, expected):
    return ((actual - expected).norm() / expected.norm()).item()


@pytest.mark.parametrize(
    ("attention_of", "output"), [("released", "at_layers"), ("student", "at_pairs_student")]
)
def test_collaborative__golden(golden, attention_of, output):
    case = golden("ctkd_collab.objective")

    def network(logits, prefix):
        # The original is 2D: a map of one frame.
        maps = {name: case.input(f"{prefix}_{name}").requires_grad_() for name in LAYERS}
        features = {name: value[:, :, None] for name, value in maps.items()}
        return maps, StudentOutput(case.input(logits).requires_grad_(), features)

    student_maps, student = network("logits_s", "student")
    scratch_maps, scratch = network("logits_scratch", "scratch")
    teacher = TeacherSignal(
        features={
            f"{name}.spatial_attention": case.input(f"expert_{name}").square().mean(1)[:, None]
            for name in LAYERS
        }
    )
    config = CollaborativeConfig(
        layers=LAYERS,
        attention_of=attention_of,
        beta=case.setting("beta"),
        gamma=case.setting("gamma"),
    )
    terms = collaborative_terms(config, student, scratch, teacher, case.input("target"))

    values = {term.name: term for term in terms}
    found = torch.stack([values[f"at.{name}"].value for name in LAYERS])
    assert relative(found, case.output(output)) < 1e-6
    hint = values["hint"]
    assert hint.weight * hint.value.item() == pytest.approx(case.output("hint").item(), rel=1e-6)
    if attention_of == "released":
        assert terms.total.item() == pytest.approx(case.output("total").item(), rel=1e-6)
        terms.total.backward()
        assert relative(student.logits.grad, case.gradient("logits_s")) < 1e-6
        assert relative(scratch.logits.grad, case.gradient("logits_scratch")) < 1e-6
        assert relative(scratch_maps["g0"].grad, case.gradient("scratch_g0")) < 1e-6
        assert not any(case.output("student_groups_have_grad"))
        assert all(value.grad is None for value in student_maps.values())
