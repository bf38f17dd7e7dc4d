import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from featkd.distillers import AT, ATConfig, Shapes
from featkd.distillers.at import spatial_attention
from featkd.errors import ModelError, RequirementError
from featkd.types import StudentOutput, TapSpec, TeacherSignal


def draw(seed, *shape):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(2, *shape, generator=generator, dtype=torch.float64)


def transfer(student_map, teacher_map, **settings):
    """Run the distiller on one layer and give the unweighted transfer term."""
    student = StudentOutput(torch.zeros(2, 3, dtype=torch.float64), {"a": student_map})
    signal = TeacherSignal(features={"a.spatial_attention": spatial_attention(teacher_map)})
    at = AT(ATConfig(layers=("a",), **settings), Shapes.measure(student, signal))
    return at(student, signal, torch.tensor([0, 1]), epoch=1).unweighted()["at.a"]


def rows_by_loop(features, form):
    """Give the normalised attention as lists: one a clip or one a frame."""
    batch, channels, time, height, width = features.shape
    rows = []
    for b in range(batch):
        frames = []
        for t in range(time):
            frame = []
            for y in range(height):
                for x in range(width):
                    values = [float(features[b, c, t, y, x]) ** 2 for c in range(channels)]
                    frame.append(sum(values) / channels)
            frames.append(frame)
        rows += frames if form == "per_frame" else [[q for frame in frames for q in frame]]
    return [[q / math.sqrt(sum(v * v for v in row)) for q in row] for row in rows]


@pytest.mark.parametrize("form", ["joint", "per_frame"])
@pytest.mark.parametrize("distance", ["code", "paper"])
def test_at__compare_with_loop(form, distance):
    student, teacher = draw(0, 5, 4, 3, 2), draw(1, 7, 4, 3, 2)
    pairs = list(zip(rows_by_loop(student, form), rows_by_loop(teacher, form), strict=True))
    squared = [sum((s - t) ** 2 for s, t in zip(*pair, strict=True)) for pair in pairs]
    if distance == "paper":
        expected = sum(math.sqrt(value) for value in squared) / len(pairs)
    else:
        expected = sum(squared) / (len(pairs) * len(pairs[0][0]))
    value = transfer(student, teacher, form=form, distance=distance)
    assert value.item() == pytest.approx(expected, rel=1e-12)


@settings(max_examples=15, deadline=None)
@given(
    scale=st.floats(1e-2, 1e3),
    form=st.sampled_from(["joint", "per_frame"]),
    distance=st.sampled_from(["code", "paper"]),
)
def test_at__invariant_to_the_scale_of_features(scale, form, distance):
    student, teacher = draw(0, 5, 4, 3, 3), draw(1, 5, 4, 3, 3)
    expected = transfer(student, teacher, form=form, distance=distance)
    scaled = transfer(scale * student, teacher / scale, form=form, distance=distance)
    torch.testing.assert_close(scaled, expected)


@pytest.mark.parametrize("distance", ["code", "paper"])
def test_at__zero_at_equality(distance):
    student = draw(0, 5, 4, 3, 3).requires_grad_()
    output = StudentOutput(torch.zeros(2, 3, dtype=torch.float64), {"a": student})
    signal = TeacherSignal(features={"a.spatial_attention": spatial_attention(student).detach()})
    at = AT(ATConfig(layers=("a",), distance=distance), Shapes.measure(output, signal))
    terms = at(output, signal, torch.tensor([0, 1]), epoch=1)
    terms.total.backward()
    assert terms.unweighted()["at.a"] == 0
    assert (student.grad == 0).all()


def test_at__pools_before_it_normalises():
    student, teacher = draw(0, 5, 4, 6, 3), draw(1, 5, 2, 3, 6)
    pooled = spatial_attention(student).unflatten(1, (2, 2)).mean(2).unflatten(2, (3, 2)).mean(3)
    target = spatial_attention(teacher).unflatten(3, (3, 2)).mean(4)
    expected = (
        (pooled / pooled.flatten(1).norm(dim=1)[:, None, None, None])
        - (target / target.flatten(1).norm(dim=1)[:, None, None, None])
    ).square()
    torch.testing.assert_close(transfer(student, teacher), expected.mean())


def test_at__weights():
    student = StudentOutput(torch.zeros(2, 3), {"a": torch.rand(2, 5, 4, 3, 3)})
    signal = TeacherSignal(features={"b.spatial_attention": torch.rand(2, 4, 3, 3)})
    weights = {}
    for distance in ("code", "paper"):
        config = ATConfig(layers=("a",), teacher_layers=("b",), beta=10, distance=distance)
        at = AT(config, Shapes.measure(student, signal))
        terms = at(student, signal, torch.tensor([0, 1]), epoch=1)
        weights[distance] = {term.name: term.weight for term in terms}
    assert weights == {
        "code": {"cross_entropy": 1.0, "at.a": 10.0},
        "paper": {"cross_entropy": 1.0, "at.a": 5.0},
    }


def test_at__half_precision_squares():
    # 300 squared is beyond half precision.
    features = torch.full((2, 5, 4, 3, 3), 300.0, dtype=torch.float16)
    features[:, :, 0] = 100.0
    assert spatial_attention(features).dtype == torch.float32
    assert transfer(features, features) == 0


def test_at__gradients(student, clips, labels, signal):
    output = student(clips)
    at = AT(ATConfig(layers=("Mixed_5c",), ce_weight=0), Shapes.measure(output, signal))
    at(output, signal, labels, epoch=1).total.backward()
    assert student.backbone.weight.grad.abs().sum() > 0
    assert all(tensor.grad is None for tensor in signal.features.values())


def test_at_config__requires():
    config = ATConfig(layers=("b", "a"), teacher_layers=("y", "x"))
    assert config.requires.taps == (
        TapSpec("x", "spatial_attention"),
        TapSpec("y", "spatial_attention"),
    )
    assert config.requires.student_layers == ("b", "a")
    assert not config.requires.logits


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"layers": ("a", "b"), "teacher_layers": ("x",)}, "teacher_layers has 1 .* layers has 2"),
        ({"layers": ("a", "a")}, "every layer once"),
        ({"layers": ()}, "layers"),
    ],
)
def test_at_config__wrong_layers(setting, message):
    with pytest.raises(ValidationError, match=message):
        ATConfig(**setting)


def test_at__shapes_that_cannot_be_aligned():
    shapes = Shapes(
        student_classes=3,
        student_features={"a": (5, 4, 3, 3)},
        teacher_features={"a.spatial_attention": (9,)},
    )
    with pytest.raises(ModelError, match=r"\(4, 3, 3\).*\(9,\)"):
        AT(ATConfig(layers=("a",)), shapes)


def test_at__missing_layers():
    shapes = Shapes(student_classes=3, student_features={"a": (5, 4, 3, 3)})
    with pytest.raises(ModelError, match=r"'b'.*it gives a"):
        AT(ATConfig(layers=("b",)), shapes)
    with pytest.raises(RequirementError, match=r"'a.spatial_attention'.*holds nothing"):
        AT(ATConfig(layers=("a",)), shapes)
