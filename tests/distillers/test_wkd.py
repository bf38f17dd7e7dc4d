import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from featkd.distillers import WKD, Shapes, WKDConfig
from featkd.distillers.wkd import Moments, cell_moments, wasserstein_distance
from featkd.errors import ModelError, RequirementError
from featkd.models.taps import reduce_map
from featkd.types import StudentOutput, TapSpec, TeacherSignal


def draw(seed, *shape):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(3, *shape, generator=generator, dtype=torch.float64)


def transfer(student_map, tapped, **settings):
    """Run the distiller without a projector and give its unweighted terms."""
    config = WKDConfig(projector=None, **settings)
    output = StudentOutput(torch.zeros(3, 5, dtype=torch.float64), {"Mixed_5c": student_map})
    signal = TeacherSignal(features={config.tap.key: tapped})
    wkd = WKD(config, Shapes.measure(output, signal))
    values = wkd(output, signal, torch.tensor([0, 1, 2]), epoch=1).unweighted()
    return values["wkd.mean"], values["wkd.std"]


def gaussians_by_loop(maps, grid):
    """Give (mean, deviation) of every sample, channel and cell, in a fixed order."""
    result = []
    for sample in maps.tolist():
        for channel in sample:
            sides = (len(channel), len(channel[0]), len(channel[0][0]))
            cells = [
                [range(math.floor(i * n / m), math.ceil((i + 1) * n / m)) for i in range(m)]
                for n, m in zip(sides, grid, strict=True)
            ]
            for times in cells[0]:
                for rows in cells[1]:
                    for columns in cells[2]:
                        values = [channel[t][y][x] for t in times for y in rows for x in columns]
                        mean = sum(values) / len(values)
                        variance = sum((v - mean) ** 2 for v in values) / (len(values) - 1)
                        result.append((mean, math.sqrt(variance + 1e-5)))
    return result


@pytest.mark.parametrize(
    ("cells", "grid"),
    [("clip", (1, 1, 1)), ("frame", (4, 1, 1)), ((2, 1, 3), (2, 1, 3)), ((3, 2, 2), (3, 2, 2))],
)
def test_wkd__compare_with_loop(cells, grid):
    student, teacher = draw(0, 5, 4, 3, 5), draw(1, 5, 4, 3, 5)
    tap = WKDConfig(cells=cells).tap
    tapped = teacher if tap.reduction == "full" else reduce_map(teacher, tap.reduction).double()
    pairs = list(
        zip(gaussians_by_loop(student, grid), gaussians_by_loop(teacher, grid), strict=True)
    )
    divisor = 3 * math.prod(grid)
    expected = [
        sum((own[part] - taught[part]) ** 2 for own, taught in pairs) / divisor for part in (0, 1)
    ]
    # What a tap keeps is float32.
    rel = 1e-12 if tap.reduction == "full" else 1e-5
    for value, sums in zip(transfer(student, tapped, cells=cells), expected, strict=True):
        assert value.item() == pytest.approx(sums, rel=rel)


@pytest.mark.parametrize("cells", ["clip", "frame"])
def test_wkd__from_moments_as_from_the_full_map(cells):
    student, teacher = draw(0, 5, 4, 3, 3), draw(1, 5, 4, 3, 3)
    grid = (1, 1, 1) if cells == "clip" else (4, 1, 1)
    tap = WKDConfig(cells=cells).tap
    expected = transfer(student, teacher, cells=grid)
    values = transfer(student, reduce_map(teacher, tap.reduction).double(), cells=cells)
    torch.testing.assert_close(values, expected, rtol=1e-5, atol=0)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1000))
def test_wkd__order_of_positions_does_not_count(seed):
    student, teacher = draw(0, 5, 4, 3, 3), reduce_map(draw(1, 5, 4, 3, 3), "moments").double()
    order = torch.randperm(36, generator=torch.Generator().manual_seed(seed))
    permuted = student.flatten(2)[:, :, order].reshape(student.shape)
    torch.testing.assert_close(transfer(permuted, teacher), transfer(student, teacher))


def test_wkd__zero_for_equal_moments(labels):
    student = draw(0, 5, 4, 3, 3).requires_grad_()
    # The same values in another order, so not the same map.
    teacher = student.detach().flip(2, 3)
    output = StudentOutput(torch.zeros(3, 5, dtype=torch.float64), {"Mixed_5c": student})
    signal = TeacherSignal(features={"Mixed_5c.full": teacher})
    config = WKDConfig(projector=None, cells=(1, 1, 1), weight=1, ce_weight=0)
    terms = WKD(config, Shapes.measure(output, signal))(output, signal, labels, epoch=1)
    terms.total.backward()
    assert terms.total.item() == pytest.approx(0, abs=1e-20)
    assert student.grad.abs().max() < 1e-12


def test_wkd__maps_of_other_sizes():
    # Every position twice: the means are equal, the unbiased deviations nearly.
    student = draw(0, 5, 4, 3, 3)
    doubled = student.repeat_interleave(2, dim=4)
    mean, std = transfer(student, doubled, cells=(2, 1, 1))
    assert mean.item() == pytest.approx(0, abs=1e-20)
    assert 0 < std.item() < 0.01


def test_wkd__a_channel_that_is_off():
    student = torch.zeros(3, 5, 4, 3, 3, dtype=torch.float64, requires_grad=True)
    moments = cell_moments(student, (1, 1, 1))
    taught = Moments(torch.ones(3, 5, 1).double(), torch.ones(3, 5, 1).double())
    sum(wasserstein_distance(moments, taught)).backward()
    assert student.grad.isfinite().all()


def test_wasserstein_distance__no_gradient_to_the_teacher():
    maps = [torch.rand(4, 5, 2, 3, 3, requires_grad=True) for _ in range(2)]
    student, teacher = (cell_moments(features, (2, 1, 1)) for features in maps)
    sum(wasserstein_distance(student, teacher)).backward()
    assert maps[0].grad.abs().sum() > 0
    assert maps[1].grad is None


def test_cell_moments__half_precision():
    features = torch.tensor([300.0, -300.0]).half().reshape(1, 1, 1, 1, 2)
    mean, variance = cell_moments(features, (1, 1, 1))
    assert mean.item() == 0
    assert variance.item() == 180000


def test_wkd_config__decay():
    constant = WKDConfig(weight=0.5)
    assert {constant.decayed_weight(epoch) for epoch in (1, 100)} == {0.5}
    decaying = WKDConfig(weight=0.5, decay_start_epoch=10, decay_end_epoch=30)
    weights = [decaying.decayed_weight(epoch) for epoch in (1, 10, 20, 30, 31)]
    assert weights == pytest.approx([0.5, 0.5, 0.25, 0, 0])
    assert decaying.decayed_weight(11) == pytest.approx(0.25 * (1 + math.cos(math.pi / 20)))
    with pytest.raises(ValidationError, match="later end"):
        WKDConfig(decay_start_epoch=10, decay_end_epoch=10)


@pytest.mark.parametrize("projector", ["bottleneck", "linear"])
@pytest.mark.parametrize("cells", ["clip", "frame", (2, 1, 1)])
def test_wkd__terms_and_gradients(projector, cells, student, clips, labels, make_signal):
    output, signal = student(clips), make_signal((9, 4, 3, 3))
    config = WKDConfig(
        projector=projector,
        cells=cells,
        weight=3,
        mean_std_ratio=2,
        ce_weight=0.5,
        decay_end_epoch=2,
    )
    wkd = WKD(config, Shapes.measure(output, signal))
    wkd.modules.double()
    terms = wkd(output, signal, labels, epoch=1)
    values = terms.unweighted()
    # Half way along the cosine.
    expected = 0.5 * values["cross_entropy"] + 3 * values["wkd.mean"] + 1.5 * values["wkd.std"]
    torch.testing.assert_close(terms.total.detach(), expected)
    terms.total.backward()
    assert student.backbone.weight.grad.abs().sum() > 0
    own = wkd.modules["projector"]
    assert all(layer.weight.grad.abs().sum() > 0 for layer in own if hasattr(layer, "weight"))
    assert all(tensor.grad is None for tensor in signal.features.values())


def test_wkd__the_bottleneck_is_narrow(student, clips, make_signal):
    output, signal = student(clips), make_signal((9, 4, 3, 3))
    wkd = WKD(WKDConfig(), Shapes.measure(output, signal))
    shapes = [tuple(layer.weight.shape) for layer in wkd.modules["projector"][:3]]
    assert shapes == [(256, 6, 1, 1, 1), (256, 256, 1, 3, 3), (9, 256, 1, 1, 1)]


@pytest.mark.parametrize(
    ("cells", "reduction"), [("clip", "moments"), ("frame", "frame_moments"), ((8, 1, 1), "full")]
)
def test_wkd_config__requires(cells, reduction):
    requires = WKDConfig(layer="a", teacher_layer="b", cells=cells).requires
    assert requires.taps == (TapSpec("b", reduction),)
    assert requires.student_layers == ("a",)


@pytest.mark.parametrize(
    ("settings", "student", "teacher", "message"),
    [
        (
            {"projector": None},
            (6, 4, 3, 3),
            (2, 9),
            r"\(6, 4, 3, 3\).*\(2, 9\).*same channels",
        ),
        (
            {"cells": "frame"},
            (9, 4, 3, 3),
            (2, 9, 8),
            r"\(9, 4, 3, 3\).*\(2, 9, 8\).*same time steps",
        ),
        ({"cells": "frame"}, (9, 4, 1, 1), (2, 9, 4), r"\(9, 4, 1, 1\).*one position"),
        ({"cells": (2, 1, 1)}, (9, 4, 1, 1), (9, 2, 1, 1), r"\(9, 2, 1, 1\).*one position"),
    ],
)
def test_wkd__shapes_that_do_not_go_together(settings, student, teacher, message):
    config = WKDConfig(**settings)
    shapes = Shapes(
        student_classes=5,
        student_features={"Mixed_5c": student},
        teacher_features={config.tap.key: teacher},
    )
    with pytest.raises(ModelError, match=message):
        WKD(config, shapes)


def test_wkd__missing_tap():
    shapes = Shapes(student_classes=5, student_features={"Mixed_5c": (6, 4, 3, 3)})
    with pytest.raises(RequirementError, match=r"'Mixed_5c.moments'"):
        WKD(WKDConfig(), shapes)


@pytest.mark.parametrize(
    "setting", [{"weight": -1}, {"cells": (0, 1, 1)}, {"projector": "mlp"}, {"grid": 4}]
)
def test_wkd_config__wrong_setting(setting):
    with pytest.raises(ValidationError, match=next(iter(setting))):
        WKDConfig(**setting)
