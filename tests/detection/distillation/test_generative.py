from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from featkd.detection.afsd import DETECTOR_LAYERS, background_loss
from featkd.detection.distillation import (
    RELEASED_GENERATIVE,
    DetectionGenerative,
    DetectionGenerativeSpec,
    DetectionSignal,
)
from featkd.errors import ModelError, RequirementError
from featkd.representation import CVAE, cvae_loss

SUPERVISED = ("loc", "cls", "refined_loc", "refined_cls", "quality", "start", "end")


def build(output, signal, losses, spec=None, **settings):
    torch.manual_seed(5)
    return DetectionGenerative(
        spec or DetectionGenerativeSpec(**settings),
        losses,
        {layer: tuple(value.shape[1:]) for layer, value in output.features.items()},
        {layer: tuple(value.shape[1:]) for layer, value in signal.attention.items()},
    )


def draw_noise(output):
    generator = torch.Generator().manual_seed(9)
    return {layer: CVAE.sample_noise(a, generator) for layer, a in output.attention.items()}


def learned(module):
    return all(p.grad is not None and p.grad.abs().sum() > 0 for p in module.parameters())


def untouched(module):
    return all(parameter.grad is None for parameter in module.parameters())


def test_student_terms__names_weights_and_values(student, clips, signal, targets, losses):
    output = student(clips)
    distiller = build(output, signal, losses)
    noise = draw_noise(output)
    terms = {t.name: t for t in distiller.student_terms(output, signal, targets, 5, noise)}
    per_layer = [f"{part}_{layer}" for layer in DETECTOR_LAYERS for part in ("recon", "attention")]
    assert list(terms) == [*SUPERVISED, *per_layer]
    for layer in DETECTOR_LAYERS:
        made = distiller.generators[layer].generate(output.attention[layer], noise[layer])
        expected = F.mse_loss(made, output.features[layer])
        torch.testing.assert_close(terms[f"recon_{layer}"].value, expected)
        assert terms[f"recon_{layer}"].weight == pytest.approx(0.5 * 5 / 20)
        difference = output.attention[layer] - signal.attention[layer]
        torch.testing.assert_close(terms[f"attention_{layer}"].value, difference.square().mean())
        assert terms[f"attention_{layer}"].weight == 0.1


def test_student_terms__gradient_reaches_the_student_only(student, clips, signal, targets, losses):
    output = student(clips)
    distiller = build(output, signal, losses)
    distiller(output, signal, targets, 5).total.backward()
    assert learned(student.attention_heads)
    assert learned(student.detector)
    assert untouched(distiller.generators)
    assert all(untouched(cvae) for cvae in signal.cvaes.values())
    assert all(p.requires_grad for p in distiller.generators.parameters())


def test_student_terms__released(student, clips, signal, targets, losses, make_rearranged):
    output = student(clips)
    distiller = build(output, signal, losses, RELEASED_GENERATIVE)
    rearranged = make_rearranged(clips)
    terms = {
        t.name: t for t in distiller(output, signal, replace(targets, rearranged=rearranged), 40)
    }
    torch.testing.assert_close(terms["background"].value, background_loss(output.background_logits))
    weights = {name: term.weight for name, term in terms.items() if name not in SUPERVISED}
    assert weights.pop("background") == 35
    assert weights.pop("consistency") == 0.1
    expected = {}
    for layer in DETECTOR_LAYERS:
        expected |= {
            f"recon_{layer}": 0.5,
            f"attention_{layer}": 10,
            f"rearranged_attention_{layer}": 10,
        }
        difference = rearranged.attention[layer] - rearranged.teacher_attention[layer]
        torch.testing.assert_close(
            terms[f"rearranged_attention_{layer}"].value, difference.square().mean()
        )
    assert weights == expected


def test_generator_terms__values(student, clips, signal, losses):
    output = student(clips)
    distiller = build(output, signal, losses)
    noise = draw_noise(output)
    terms = {term.name: term for term in distiller.generator_terms(output, signal, noise)}
    for layer in DETECTOR_LAYERS:
        feature, attention = output.features[layer].detach(), output.attention[layer].detach()
        made, posterior = distiller.generators[layer].reconstruct(feature, attention, noise[layer])
        taught = signal.cvaes[layer].reconstruct(feature, attention, noise[layer]).features
        loss = cvae_loss(made, feature, *posterior, attention)
        own = terms[f"cvae_recon_{layer}"], terms[f"cvae_kl_{layer}"], terms[f"kd_gen_{layer}"]
        expected = loss.reconstruction, loss.kl, F.mse_loss(made, taught)
        for term, value in zip(own, expected, strict=True):
            torch.testing.assert_close(term.value, value)
        assert [term.weight for term in own] == [1, 0.1, 0.01]


def test_generator_terms__gradient_reaches_the_cvaes_only(student, clips, signal, losses):
    output = student(clips)
    distiller = build(output, signal, losses)
    distiller.generator_terms(output, signal).total.backward()
    assert learned(distiller.generators)
    assert untouched(student)
    assert all(untouched(cvae) for cvae in signal.cvaes.values())


@pytest.mark.parametrize("shared", [True, False])
def test_generator_terms__noise(student, clips, signal, losses, shared):
    output = student(clips)
    distiller = build(output, signal, losses, shared_noise=shared)
    same = DetectionSignal(cvaes=dict(distiller.generators.items()))
    terms = {term.name: term for term in distiller.generator_terms(output, same)}
    floors = [terms[f"kd_gen_{layer}"].value.item() for layer in DETECTOR_LAYERS]
    assert all((floor == 0) is shared for floor in floors)


def test_generative__without_a_teacher(student, clips, signal, targets, losses):
    output = student(clips)
    distiller = build(output, DetectionSignal(), losses, attention_weight=0, kd_gen_weight=0)
    names = [term.name for term in distiller(output, DetectionSignal(), targets, 1)]
    assert names == [*SUPERVISED, *(f"recon_{layer}" for layer in DETECTOR_LAYERS)]
    names = [term.name for term in distiller.generator_terms(output, DetectionSignal())]
    assert not any(name.startswith("kd_gen") for name in names)


def test_generative__part_of_weight_zero_is_left_out(student, clips, signal, targets, losses):
    output = student(clips)
    distiller = build(output, signal, losses, recon_weight=0)
    assert not distiller.generators
    names = [term.name for term in distiller(output, signal, targets, 1)]
    assert names == [*SUPERVISED, *(f"attention_{layer}" for layer in DETECTOR_LAYERS)]
    with pytest.raises(ModelError, match="recon_weight is 0"):
        distiller.generator_terms(output, signal)


def test_generative__teacher_of_another_width(student, clips, make_network, targets, losses):
    wide = DetectionSignal.live(make_network(4, width=0.125, attention_head="paper")(clips))
    output = student(clips)
    distiller = build(output, wide, losses)
    distiller(output, wide, targets, 1).total.backward()
    assert learned(distiller.modules)


def test_generative__what_is_missing(student, clips, signal, targets, losses, make_network):
    output = student(clips)
    with pytest.raises(ModelError, match="no attention of layer 'Mixed_4f'"):
        build(output, DetectionSignal(), losses)
    distiller = build(output, signal, losses)
    with pytest.raises(RequirementError, match="no attention of layer 'Mixed_4f'"):
        distiller(output, DetectionSignal(), targets, 1)
    with pytest.raises(RequirementError, match="no CVAE of layer 'Mixed_4f'"):
        distiller.generator_terms(output, DetectionSignal())
    other = replace(signal, cvaes={layer: CVAE(8, (1, 1)) for layer in DETECTOR_LAYERS})
    with pytest.raises(ModelError, match=r"takes maps of \(C, H, W\) \(8, 1, 1\)"):
        distiller.generator_terms(output, other)
    plain = make_network(1)(clips)
    with pytest.raises(ModelError, match="gives no attention"):
        distiller(plain, signal, targets, 1)
    background = build(output, signal, losses, background_weight=35)
    with pytest.raises(ModelError, match="with_background"):
        background(replace(output, background_logits=None), signal, targets, 1)
