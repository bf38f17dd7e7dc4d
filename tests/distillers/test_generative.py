from dataclasses import replace

import pytest
import torch

from featkd.distillers import (
    Generative,
    GenerativeConfig,
    Requirements,
    Shapes,
    generative_part,
)
from featkd.errors import ModelError, RequirementError
from featkd.representation import CVAE
from featkd.types import StudentOutput, TapSpec, TeacherSignal


def build(output, signal, **settings):
    distiller = Generative(GenerativeConfig(**settings), Shapes.measure(output, signal))
    distiller.generator.double()
    distiller.modules.double()
    return distiller


def gradients(module):
    return [parameter.grad for parameter in module.parameters()]


def learned(module):
    return all(gradient is not None and gradient.abs().sum() > 0 for gradient in gradients(module))


def untouched(module):
    return all(gradient is None for gradient in gradients(module))


def teacher_untouched(signal):
    tensors = [signal.logits, *signal.features.values(), *signal.attention.values()]
    return all(tensor.grad is None for tensor in tensors) and untouched(signal.modules["cvae"])


def test_student_terms__compare_with_loop(student, clips, labels, signal):
    output = student(clips)
    distiller = build(output, signal)
    noise = torch.randn(3, 4, 6, dtype=torch.float64)
    values = distiller.student_terms(output, signal, labels, 1, noise).unweighted()
    made = distiller.generator.generate(output.attention, noise).flatten().tolist()
    features = output.features["Mixed_5c"].flatten().tolist()
    recon = sum((a - b) ** 2 for a, b in zip(made, features, strict=True)) / len(made)
    own, taught = output.attention.flatten().tolist(), signal.attention["Mixed_5c"].flatten()
    attention = sum((a - b) ** 2 for a, b in zip(own, taught.tolist(), strict=True)) / len(own)
    assert values["recon"].item() == pytest.approx(recon, rel=1e-12)
    assert values["attention"].item() == pytest.approx(attention, rel=1e-12)


@pytest.mark.parametrize(
    ("settings", "epoch", "weight"),
    [
        ({}, 1, 0.025),
        ({}, 5, 0.125),
        ({}, 20, 0.5),
        ({}, 200, 0.5),
        ({"ramp_epochs": 0, "recon_weight": 1}, 1, 1.0),
    ],
)
def test_student_terms__ramp(student, clips, labels, signal, settings, epoch, weight):
    output = student(clips)
    terms = build(output, signal, **settings)(output, signal, labels, epoch)
    weights = {term.name: term.weight for term in terms}
    assert weights == pytest.approx({"cross_entropy": 1, "recon": weight, "attention": 0.1})


def test_student_terms__gradient_reaches_the_student_only(student, clips, labels, signal):
    output = student(clips)
    distiller = build(output, signal)
    distiller(output, signal, labels, 5).total.backward()
    assert learned(student)
    assert untouched(distiller.generator)
    assert teacher_untouched(signal)
    assert all(parameter.requires_grad for parameter in distiller.generator.parameters())


def test_student_terms__reconstruction_alone_reaches_the_attention(student, clips, labels, signal):
    output = student(clips)
    distiller = build(output, signal)
    terms = {term.name: term for term in distiller(output, signal, labels, 5)}
    (through_attention,) = torch.autograd.grad(
        terms["recon"].value, output.attention, retain_graph=True
    )
    assert through_attention.abs().sum() > 0


@pytest.mark.parametrize(("target", "reached"), [("detached", False), ("attached", True)])
def test_student_terms__reconstruction_target(student, clips, labels, signal, target, reached):
    output = student(clips)
    # Attention cut from the features leaves the target as the only way to them.
    cut = replace(output, attention=output.attention.detach().requires_grad_())
    distiller = build(output, signal, recon_target=target)
    terms = {term.name: term for term in distiller(cut, signal, labels, 5)}
    (gradient,) = torch.autograd.grad(
        terms["recon"].value, output.features["Mixed_5c"], allow_unused=True
    )
    assert (gradient is not None) == reached


def test_generator_terms__gradient_reaches_the_cvae_only(student, clips, signal):
    output = student(clips)
    distiller = build(output, signal)
    distiller.generator_terms(output, signal).total.backward()
    assert learned(distiller.generator)
    assert untouched(student)
    assert teacher_untouched(signal)


def test_generator_terms__then_student_terms_of_the_same_forward(student, clips, labels, signal):
    # What `alternation: step` does: the CVAE moves between the forward and the student's step.
    output = student(clips)
    distiller = build(output, signal)
    optimiser = torch.optim.Adam(distiller.generator.parameters(), lr=0.1)
    distiller.generator_terms(output, signal).total.backward()
    optimiser.step()
    distiller(output, signal, labels, 5).total.backward()
    assert learned(student)


def test_generator_terms__compare_with_parts(student, clips, signal):
    output = student(clips)
    distiller = build(output, signal, kl_weight=0.2, kd_gen_weight=3)
    noise = torch.randn(3, 4, 6, dtype=torch.float64)
    terms = distiller.generator_terms(output, signal, noise)
    features = output.features["Mixed_5c"]
    inputs = (features, output.attention, noise)
    made, (mean, log_var) = distiller.generator.reconstruct(*inputs)
    taught = signal.modules["cvae"].reconstruct(*inputs).features
    distance = mean - output.attention.transpose(1, 2)
    expected = {
        "cvae_recon": (made - features).square().mean(),
        "cvae_kl": (distance.square() + log_var.exp() - 1 - log_var).mean() / 2,
        "kd_gen": (made - taught).square().mean(),
    }
    for name, value in terms.unweighted().items():
        torch.testing.assert_close(value, expected[name].detach())
    weights = {term.name: term.weight for term in terms}
    assert weights == {"cvae_recon": 1.0, "cvae_kl": 0.2, "kd_gen": 3.0}


def test_generator_terms__shared_noise_has_no_floor(student, clips, signal):
    output = student(clips)
    losses = {}
    for shared in (True, False):
        distiller = build(output, signal, shared_noise=shared)
        distiller.generator.load_state_dict(signal.modules["cvae"].state_dict())
        losses[shared] = distiller.generator_terms(output, signal).unweighted()["kd_gen"]
    assert losses[True] == 0
    assert losses[False] > 0


def test_generator_terms__own_inputs(student, clips, signal):
    output = student(clips)
    distiller = build(output, signal, kd_gen_inputs="own")
    noise = torch.randn(3, 4, 6, dtype=torch.float64)
    terms = distiller.generator_terms(output, signal, noise)
    made = distiller.generator.reconstruct(output.features["Mixed_5c"], output.attention, noise)
    taught = signal.modules["cvae"].reconstruct(
        signal.features["Mixed_5c.full"], signal.attention["Mixed_5c"], noise
    )
    expected = (made.features - taught.features).square().mean()
    torch.testing.assert_close(terms.unweighted()["kd_gen"], expected.detach())
    terms.total.backward()
    assert teacher_untouched(signal)


def test_generator_terms__own_inputs_of_another_size(student, clips, make_signal):
    signal = make_signal(shape=(6, 2, 5, 5))
    output = student(clips)
    distiller = build(output, signal, kd_gen_inputs="own", shared_noise=False)
    distiller.generator_terms(output, signal).total.backward()
    assert learned(distiller.generator)


def test_generative__noise_follows_the_seed(student, clips, labels, signal):
    output = student(clips)
    totals = []
    for _ in range(2):
        torch.manual_seed(5)
        distiller = build(output, signal)
        totals.append([distiller(output, signal, labels, 5).total.item() for _ in range(2)])
    assert totals[0] == totals[1]
    assert totals[0][0] != totals[0][1]


def test_generative__without_a_teacher(student, clips, labels):
    output = student(clips)
    distiller = build(output, TeacherSignal(), attention_weight=0, kd_gen_weight=0)
    assert distiller.requires == Requirements(student_layers=("Mixed_5c",), student_attention=True)
    distiller(output, TeacherSignal(), labels, 1).total.backward()
    distiller.generator_terms(output, TeacherSignal()).total.backward()
    assert learned(student)
    assert learned(distiller.generator)


def test_generative__attention_of_another_shape(student, clips, labels, make_signal):
    signal = make_signal(shape=(8, 2, 3, 3))
    output = student(clips)
    distiller = build(output, signal, kd_gen_weight=0)
    distiller(output, signal, labels, 1).total.backward()
    assert learned(distiller.modules)
    assert learned(student)


def test_generative__half_precision_student(student, clips, labels, signal):
    output = student(clips)
    half = StudentOutput(
        logits=output.logits.half(),
        features={"Mixed_5c": output.features["Mixed_5c"].half()},
        attention=output.attention.half(),
    )
    modules = {"cvae": signal.modules["cvae"].float()}
    distiller = Generative(GenerativeConfig(), Shapes.measure(half, signal))
    terms = [
        *distiller(half, signal, labels, 1),
        *distiller.generator_terms(half, replace(signal, modules=modules)),
    ]
    assert all(term.value.dtype in (torch.float32, torch.float64) for term in terms)
    assert all(term.value.isfinite() for term in terms)


def test_generative__autocast(student, clips, labels, make_signal):
    signal = make_signal(shape=(8, 2, 3, 3))
    distiller = Generative(
        GenerativeConfig(kd_gen_weight=0), Shapes.measure(student(clips), signal)
    )
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = student.float()(clips.float())
        terms = [*distiller(output, signal, labels, 1), *distiller.generator_terms(output, signal)]
    assert output.features["Mixed_5c"].dtype == torch.bfloat16
    assert all(term.value.dtype in (torch.float32, torch.float64) for term in terms)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, {"attention_layers": ("Mixed_5c",), "modules": ("cvae",)}),
        ({"attention_weight": 0}, {"modules": ("cvae",)}),
        ({"kd_gen_weight": 0}, {"attention_layers": ("Mixed_5c",)}),
        (
            {"kd_gen_inputs": "own", "attention_weight": 0},
            {
                "taps": (TapSpec("Mixed_5c", "full"),),
                "attention_layers": ("Mixed_5c",),
                "modules": ("cvae",),
            },
        ),
        (
            {"classifier_loss": "released", "kd_gen_weight": 0, "attention_weight": 0},
            {"student_frame_logits": True},
        ),
    ],
)
def test_generative_config__requires(settings, expected):
    always = {"student_layers": ("Mixed_5c",), "student_attention": True}
    assert GenerativeConfig(**settings).requires == Requirements(**always, **expected)


SHAPES = Shapes(
    student_classes=5,
    student_features={"Mixed_5c": (6, 4, 3, 3)},
    student_attention=(6, 4),
    teacher_features={"Mixed_5c.full": (6, 2, 5, 5)},
    teacher_attention={"Mixed_5c": (6, 2)},
    teacher_cvae=(6, 3, 3),
)


@pytest.mark.parametrize(
    ("settings", "shapes", "message"),
    [
        ({}, replace(SHAPES, teacher_cvae=(8, 3, 3)), r"\(8, 3, 3\).*\(6, 4, 3, 3\)"),
        ({}, replace(SHAPES, student_attention=(6, 2)), r"\(6, 2\).*\(6, 4, 3, 3\)"),
        ({}, replace(SHAPES, student_attention=None), "attention head"),
        ({}, replace(SHAPES, student_features={}), "'Mixed_5c'"),
        ({"kd_gen_inputs": "own"}, SHAPES, r"\(6, 4, 3, 3\).*\(6, 2, 5, 5\)"),
        ({}, replace(SHAPES, teacher_attention={"Mixed_5c": (6, 2, 1)}), r"\(6, 4\).*\(6, 2, 1\)"),
    ],
)
def test_generative__shapes_that_do_not_fit(settings, shapes, message):
    with pytest.raises(ModelError, match=message):
        Generative(GenerativeConfig(**settings), shapes)


def test_generative__signal_without_attention():
    with pytest.raises(RequirementError, match=r"attention of layer 'Mixed_5c'.*nothing"):
        Generative(GenerativeConfig(), replace(SHAPES, teacher_attention={}))


def test_generative__module_that_is_no_cvae(student, clips, signal):
    output = student(clips)
    distiller = build(output, signal)
    wrong = replace(signal, modules={"cvae": torch.nn.Identity()})
    with pytest.raises(ModelError, match=r"Identity.*CVAE"):
        distiller.generator_terms(output, wrong)
    with pytest.raises(RequirementError, match="no module 'cvae'"):
        distiller.generator_terms(output, replace(signal, modules={}))


def test_generative__released_classifier_loss(student, clips, labels, signal):
    output = student(clips)
    distiller = build(output, signal, classifier_loss="released")
    released = distiller(output, signal, labels, 1).unweighted()["cross_entropy"]
    summed = output.frame_logits.softmax(dim=1).sum(dim=2)
    torch.testing.assert_close(released, torch.nn.functional.cross_entropy(summed, labels).detach())
    with pytest.raises(ModelError, match="frame logits"):
        distiller(replace(output, frame_logits=None), signal, labels, 1)


def test_generative__cvae_hidden(student, clips, signal):
    output = student(clips)
    distiller = build(output, signal, cvae_hidden=2)
    assert isinstance(distiller.generator, CVAE)
    assert distiller.generator.collapse.convolution.out_channels == 2


def test_generative__without_reconstruction_there_is_no_cvae(student, clips, labels, signal):
    output = student(clips)
    bare = TeacherSignal(attention=signal.attention)
    config = GenerativeConfig(recon_weight=0)
    assert config.requires.modules == ()
    distiller = Generative(config, Shapes.measure(output, bare))
    assert distiller.generator is None
    assert generative_part(distiller) is None
    names = [term.name for term in distiller(output, bare, labels, epoch=1)]
    assert names == ["cross_entropy", "attention"]
    with pytest.raises(ModelError, match="recon_weight"):
        distiller.generator_terms(output, bare)


def test_generative__head_alone_needs_no_teacher(student, clips, labels):
    output, nothing = student(clips), TeacherSignal()
    config = GenerativeConfig(recon_weight=0, attention_weight=0, kd_gen_weight=0)
    distiller = Generative(config, Shapes.measure(output, nothing))
    (term,) = distiller(output, nothing, labels, epoch=1)
    assert term.name == "cross_entropy"
    assert config.requires == Requirements(student_layers=("Mixed_5c",), student_attention=True)
