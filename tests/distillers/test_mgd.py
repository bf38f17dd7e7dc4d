import pytest
import torch
from pydantic import ValidationError
from torch.nn import functional as F

from featkd.distillers import MGD, MGDConfig, Shapes
from featkd.distillers.mgd import generation_loss, keep, mask_shape
from featkd.errors import ModelError, RequirementError
from featkd.types import StudentOutput, TapSpec, TeacherSignal

SHAPE = torch.Size((3, 6, 4, 3, 3))


def build(output, signal, **settings):
    mgd = MGD(MGDConfig(**settings), Shapes.measure(output, signal))
    mgd.modules.double()
    return mgd


def convolved_by_loop(maps, convolution):
    """A sum over the kernel of shifted maps; what lies outside counts 0."""
    weight = convolution.weight
    sides = [side // 2 for side in weight.shape[2:]]
    padded = F.pad(maps, [side for side in reversed(sides) for _ in range(2)])
    time, height, width = maps.shape[2:]
    result = convolution.bias[None, :, None, None, None].expand(len(maps), -1, *maps.shape[2:])
    for t in range(weight.shape[2]):
        for y in range(weight.shape[3]):
            for x in range(weight.shape[4]):
                part = padded[:, :, t : t + time, y : y + height, x : x + width]
                result = result + torch.einsum("bithw,oi->bothw", part, weight[:, :, t, y, x])
    return result


@pytest.mark.parametrize("mask", ["channel", "position", "tube"])
@pytest.mark.parametrize("temporal_kernel", [1, 3])
@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_mgd__compare_with_loop(
    mask, temporal_kernel, reduction, student, clips, labels, make_signal
):
    output, signal = student(clips), make_signal((7, 4, 3, 3))
    mgd = build(
        output,
        signal,
        mask=mask,
        mask_ratio=0.4,
        temporal_kernel=temporal_kernel,
        reduction=reduction,
    )
    generator = torch.Generator().manual_seed(5)
    uniform = torch.rand(mask_shape(torch.Size((3, 7, 4, 3, 3)), mask), generator=generator)
    dropped = uniform < 0.4 if mask == "channel" else uniform > 0.6
    align = mgd.modules["aligner"].projector
    aligned = torch.einsum("bithw,oi->bothw", output.features["Mixed_5c"], align.weight.flatten(1))
    aligned = (aligned + align.bias[None, :, None, None, None]) * (1 - dropped.double())
    first, _, second = mgd.modules["generation"]
    generated = convolved_by_loop(convolved_by_loop(aligned, first).clamp(min=0), second)
    errors = (generated - signal.features["Mixed_5c.full"]).square()
    expected = errors.sum() / 3 if reduction == "sum" else errors.mean()
    value = mgd.terms(output, signal, labels, uniform).unweighted()["mgd"]
    torch.testing.assert_close(value, expected.detach())


@pytest.mark.parametrize("mask", ["channel", "position", "tube"])
def test_mgd__a_masked_value_enters_nowhere(mask, labels, signal):
    features = torch.randn(SHAPE, dtype=torch.float64, requires_grad=True)
    output = StudentOutput(torch.zeros(3, 5, dtype=torch.float64), {"Mixed_5c": features})
    mgd = build(output, signal, mask=mask, mask_ratio=0.5, ce_weight=0)
    uniform = torch.rand(mask_shape(SHAPE, mask), generator=torch.Generator().manual_seed(6))
    mgd.terms(output, signal, labels, uniform).total.backward()
    kept = keep(uniform, mask, 0.5).expand(SHAPE)
    assert 0 < kept.double().mean() < 1
    assert (features.grad[~kept] == 0).all()
    assert (features.grad[kept] != 0).all()


@pytest.mark.parametrize(
    ("mask", "shape"),
    [("channel", (3, 6, 1, 1, 1)), ("position", (3, 1, 4, 3, 3)), ("tube", (3, 1, 1, 3, 3))],
)
def test_mask_shape__one_number_for_what_is_dropped_together(mask, shape):
    assert mask_shape(SHAPE, mask) == shape


@pytest.mark.parametrize("mask", ["channel", "position"])
@pytest.mark.parametrize("ratio", [0.0, 0.15, 0.65, 1.0])
def test_keep__drops_the_share(mask, ratio):
    uniform = torch.rand(100, 100, 1, 1, 1, generator=torch.Generator().manual_seed(0))
    dropped = 1 - keep(uniform, mask, ratio).double().mean().item()
    assert dropped == pytest.approx(ratio, abs=0.02)


def test_mgd__draws_anew_from_torchs_generator(student, clips, labels, signal):
    output = student(clips)
    mgd = build(output, signal, mask_ratio=0.5)

    def value():
        return mgd(output, signal, labels, epoch=1).unweighted()["mgd"]

    torch.manual_seed(7)
    first, second = value(), value()
    torch.manual_seed(7)
    assert first == value()
    assert first != second
    uniform = torch.rand(mask_shape(SHAPE, "channel"), generator=torch.Generator().manual_seed(7))
    assert first == mgd.terms(output, signal, labels, uniform).unweighted()["mgd"]


def test_mgd__zero_at_equality(student, clips, labels, signal):
    output = student(clips)
    mgd = build(output, signal, mask_ratio=0, ce_weight=0)
    # With the same channels there is nothing to align.
    assert not list(mgd.modules["aligner"].parameters())
    generated = mgd.modules["generation"](output.features["Mixed_5c"]).detach()
    terms = mgd(output, TeacherSignal(features={"Mixed_5c.full": generated}), labels, epoch=1)
    terms.total.backward()
    assert terms.total == 0
    assert student.backbone.weight.grad.abs().max() == 0


def test_mgd__time_folded_into_the_batch_divides_by_time_too(student, clips, labels, signal):
    output = student(clips)
    mgd = build(output, signal, mask="position", mask_ratio=0.5, reduction="sum")
    uniform = torch.rand(mask_shape(SHAPE, "position"), generator=torch.Generator().manual_seed(8))

    def fold(maps):
        return maps.transpose(1, 2).flatten(0, 1).unsqueeze(2)

    folded = mgd.terms(
        StudentOutput(output.logits.repeat(4, 1), {"Mixed_5c": fold(output.features["Mixed_5c"])}),
        TeacherSignal(features={"Mixed_5c.full": fold(signal.features["Mixed_5c.full"])}),
        labels.repeat(4),
        fold(uniform),
    ).unweighted()["mgd"]
    value = mgd.terms(output, signal, labels, uniform).unweighted()["mgd"]
    torch.testing.assert_close(folded, value / 4)


def test_mgd__the_default_weight_is_the_originals_on_its_maps(labels):
    generated, target = torch.rand(2, 8, 1, 7, 7).double(), torch.rand(2, 8, 1, 7, 7).double()
    # 8 channels stand for 512: a mean does not depend on how many there are.
    original = 7e-5 * generation_loss(generated, target) * 512 / 8
    default = MGDConfig().weight * (generated - target).square().mean()
    torch.testing.assert_close(default, original, rtol=3e-3, atol=0)


def test_generation_loss__half_precision():
    generated = torch.full((2, 10, 1, 1, 1), 200.0).half()
    assert generation_loss(generated, torch.zeros(2, 10, 1, 1, 1)) == 400000


def test_mgd__pools_before_it_masks(student, clips, labels, make_signal):
    output = student(clips)
    signal = make_signal((6, 2, 3, 1))
    mgd = build(output, signal, mask="position")
    uniform = torch.rand(3, 1, 2, 3, 1)
    pooled = output.features["Mixed_5c"].unflatten(2, (2, 2)).mean(3).mean(4, keepdim=True)
    expected = mgd.terms(
        StudentOutput(output.logits, {"Mixed_5c": pooled}), signal, labels, uniform
    )
    value = mgd.terms(output, signal, labels, uniform)
    torch.testing.assert_close(value.unweighted()["mgd"], expected.unweighted()["mgd"])


def test_generation_loss__no_gradient_to_the_teacher():
    student, teacher = (torch.rand(4, 5, 2, 3, 3, requires_grad=True) for _ in range(2))
    generation_loss(student, teacher).backward()
    assert student.grad.abs().sum() > 0
    assert teacher.grad is None


def test_mgd__terms_and_gradients(student, clips, labels, make_signal):
    output, signal = student(clips), make_signal((7, 4, 3, 3))
    mgd = build(output, signal, weight=3, ce_weight=0.5)
    terms = mgd(output, signal, labels, epoch=1)
    values = terms.unweighted()
    torch.testing.assert_close(
        terms.total.detach(), 0.5 * values["cross_entropy"] + 3 * values["mgd"]
    )
    terms.total.backward()
    assert student.backbone.weight.grad.abs().sum() > 0
    assert len(list(mgd.modules.parameters())) == 6
    assert all(parameter.grad.abs().sum() > 0 for parameter in mgd.modules.parameters())
    assert all(tensor.grad is None for tensor in signal.features.values())


def test_mgd_config__requires():
    requires = MGDConfig(layer="a", teacher_layer="b").requires
    assert requires.taps == (TapSpec("b", "full"),)
    assert requires.student_layers == ("a",)


def test_mgd__shapes_that_cannot_be_aligned():
    shapes = Shapes(
        student_classes=5,
        student_features={"Mixed_5c": (6, 4, 3, 3)},
        teacher_features={"Mixed_5c.full": (6,)},
    )
    with pytest.raises(ModelError, match=r"\(6, 4, 3, 3\).*\(6,\)"):
        MGD(MGDConfig(), shapes)


def test_mgd__missing_tap():
    shapes = Shapes(student_classes=5, student_features={"Mixed_5c": (6, 4, 3, 3)})
    with pytest.raises(RequirementError, match=r"'Mixed_5c.full'"):
        MGD(MGDConfig(), shapes)


@pytest.mark.parametrize(
    "setting", [{"mask_ratio": 1.5}, {"mask": "space"}, {"temporal_kernel": 2}, {"alpha": 1}]
)
def test_mgd_config__wrong_setting(setting):
    with pytest.raises(ValidationError, match=next(iter(setting))):
        MGDConfig(**setting)
