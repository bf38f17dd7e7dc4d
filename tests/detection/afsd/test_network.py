import pytest
import torch
from pydantic import ValidationError

from featkd.detection.afsd import (
    AFSD,
    DETECTOR_LAYERS,
    RELEASED_STUDENT,
    RELEASED_TEACHER,
    AFSDSpec,
    ReusedDetectorSpec,
)
from featkd.errors import ModelError
from featkd.evaluation import measure_cost
from featkd.representation import CVAE, attended_feature

THUMOS_INPUT = (3, 256, 96, 96)
TINY_INPUT = (3, 32, 32, 32)
TINY = {"width": 0.0625, "num_levels": 3}


def full_size(spec, input_shape=THUMOS_INPUT):
    with torch.device("meta"):
        return AFSD(spec, 20, input_shape)


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


def tiny(**settings):
    torch.manual_seed(0)
    return AFSD(AFSDSpec(**{**TINY, **settings}), 4, TINY_INPUT)


@pytest.fixture
def clips():
    return torch.randn(2, *TINY_INPUT, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    ("spec", "gmac", "parameters"),
    [
        pytest.param(AFSDSpec(), 84.218, 44_746_069, id="teacher"),
        pytest.param(AFSDSpec(name="top_i3d"), 35.880, 42_887_893, id="student"),
        pytest.param(RELEASED_STUDENT, 39.764, 65_887_477, id="attention"),
        pytest.param(RELEASED_TEACHER, 88.102, 67_745_653, id="teacher-attention"),
    ],
)
def test_cost__is_the_published_one(spec, gmac, parameters):
    cost = measure_cost(full_size(spec), THUMOS_INPUT)
    assert cost.gmac == pytest.approx(gmac, rel=1e-4)
    assert cost.parameters == parameters


@pytest.mark.parametrize(("name", "gmac"), [("i3d", 77.74), ("top_i3d", 34.95)])
def test_cost__of_flow(name, gmac):
    shape = (2, *THUMOS_INPUT[1:])
    assert measure_cost(full_size(AFSDSpec(name=name), shape), shape).gmac == pytest.approx(
        gmac, rel=1e-3
    )


def test_cost__of_parts():
    network = full_size(RELEASED_TEACHER)
    assert count(network.backbone) == 12_287_264
    assert count(network.detector) == 32_458_805
    assert count(network.attention_heads) == 22_999_584
    assert count(full_size(RELEASED_STUDENT).backbone) == 10_429_088
    layers = measure_cost(network, THUMOS_INPUT).macs_by_layer
    backbone = sum(macs for name, macs in layers.items() if name.startswith("backbone."))
    assert backbone / 1e9 == pytest.approx(81.661, rel=1e-4)
    with torch.device("meta"):
        cvaes = [CVAE(832, (6, 6)), CVAE(1024, (3, 3))]
    assert sum(map(count, cvaes)) == 84_405_824


def test_forward__shapes_at_full_size():
    network = full_size(AFSDSpec())
    output = network(torch.empty(1, *THUMOS_INPUT, device="meta"))
    assert output.features["Mixed_4f"].shape == (1, 832, 64, 6, 6)
    assert output.features["Mixed_5c"].shape == (1, 1024, 32, 3, 3)
    found = output.detections
    assert found.coarse_distances.shape == found.offsets.shape == (1, 126, 2)
    assert found.refined_distances.shape == (1, 126, 2)
    assert found.coarse_logits.shape == found.refined_logits.shape == (1, 126, 21)
    assert found.quality_logits.shape == (1, 126)
    assert found.boundaries.frames.shape == (1, 512, 256)
    assert found.boundaries.localisation.shape == (1, 1024, 64)
    assert found.boundaries.classification.shape == (1, 1024, 64)


def test_forward__distances_are_positive_and_refined_by_halves_of_the_length(clips):
    found = tiny()(clips).detections
    assert found.coarse_distances.shape == (2, 14, 2)
    assert (found.coarse_distances > 0).all()
    (back, onward), (first, second) = found.coarse_distances[1, 3], found.offsets[1, 3]
    half = (back + onward) / 2
    expected = torch.stack((back + half * first, onward + half * second))
    torch.testing.assert_close(found.refined_distances[1, 3], expected)


def test_forward__samples_do_not_mix(clips):
    network = tiny(attention_head="paper").eval()
    together, alone = network(clips).detections, network(clips[1:]).detections
    for both, single in zip(together[:5], alone[:5], strict=True):
        torch.testing.assert_close(both[1:], single, rtol=1e-4, atol=1e-5)


def test_forward__detector_reads_attended_maps(clips):
    network = tiny(attention_head="paper").eval()
    output = network(clips)
    attended = {
        layer: attended_feature(output.features[layer], output.attention[layer])
        for layer in DETECTOR_LAYERS
    }
    expected = network.detector(attended).coarse_logits
    torch.testing.assert_close(output.detections.coarse_logits, expected)
    plain = network.detector(output.features).coarse_logits
    assert (plain - expected).abs().max() > 1e-3


def test_forward__background_is_what_attention_leaves_out(clips):
    torch.manual_seed(0)
    spec = AFSDSpec(**TINY, attention_head="paper")
    network = AFSD(spec, 4, TINY_INPUT, with_background=True).eval()
    output = network(clips)
    left_out = {
        layer: attended_feature(output.features[layer], 1 - output.attention[layer])
        for layer in DETECTOR_LAYERS
    }
    expected = network.detector(left_out).coarse_logits
    torch.testing.assert_close(output.background_logits, expected)
    with pytest.raises(ModelError, match="with_background"):
        AFSD(AFSDSpec(**TINY), 4, TINY_INPUT, with_background=True)


def test_boundaries__are_those_of_the_whole_pass(clips):
    network = tiny(attention_head="released", rescale="inverse_sum").eval()
    output = network(clips)
    boundaries, attention = network.boundaries(clips)
    for alone, whole in zip(boundaries, output.detections.boundaries, strict=True):
        torch.testing.assert_close(alone, whole)
    for layer in DETECTOR_LAYERS:
        torch.testing.assert_close(attention[layer], output.attention[layer])


def test_forward__every_parameter_learns(clips):
    network = tiny(attention_head="paper")
    found = network(clips).detections
    sum(tensor.square().sum() for tensor in found[:5]).backward()
    idle = {
        name
        for name, parameter in network.named_parameters()
        if parameter.grad is None or not parameter.grad.abs().sum() > 0
    }
    assert not idle


def test_batch_norm__frozen_ones_keep_their_statistics(clips):
    network = tiny(batch_norm="frozen").train()
    norms = [m for m in network.backbone.modules() if isinstance(m, torch.nn.BatchNorm3d)]
    before = [norm.running_mean.clone() for norm in norms]
    network(clips)
    assert all(torch.equal(norm.running_mean, old) for norm, old in zip(norms, before, strict=True))
    assert not any(p.requires_grad for norm in norms for p in norm.parameters())
    assert network.backbone.Conv3d_1a_7x7.conv3d.weight.requires_grad
    trained = tiny().train()
    trained(clips)
    assert trained.backbone.Conv3d_1a_7x7.bn.running_mean.abs().sum() > 0


def test_initialisation__of_heads_and_pyramid():
    for scheme, deviation in (("glorot", (2 / (64 * 3 + 64 * 3)) ** 0.5), ("released", 0.01)):
        network = tiny(width=0.125, initialisation=scheme)
        tower = network.detector.coarse.localisation_tower[0].convolution
        assert tower.weight.std().item() == pytest.approx(deviation, rel=0.1)
        assert (tower.bias == 0).all()
        pyramid = network.detector.pyramid.halvings[0].convolution.weight
        assert pyramid.std().item() == pytest.approx((2 / (64 * 3 + 64 * 3)) ** 0.5, rel=0.1)


def test_reused_detector__reads_projected_maps(clips):
    teacher = tiny(width=0.125).eval()
    student = tiny(name="top_i3d", reused_detector=ReusedDetectorSpec(width=0.125)).eval()
    student.reuse_detector(teacher.detector)
    output = student(clips)
    expected = teacher.detector(output.projected)
    torch.testing.assert_close(output.detections.refined_logits, expected.refined_logits)
    output.detections.refined_logits.sum().backward()
    assert all(parameter.grad is None for parameter in student.detector.parameters())
    assert all(p.grad is not None for p in student.projectors.parameters())


def test_reused_detector__other_width():
    student = tiny(reused_detector=ReusedDetectorSpec(width=0.125))
    with pytest.raises(ModelError, match=r"behind projectors .* differ in shape"):
        student.reuse_detector(tiny().detector)
    with pytest.raises(ModelError, match="without projectors"):
        tiny().reuse_detector(tiny().detector)


def test_spec__attention_and_reused_detector():
    with pytest.raises(ValidationError, match="expected one of them"):
        AFSDSpec(attention_head="paper", reused_detector=ReusedDetectorSpec())


def test_clip__length_that_does_not_fit_the_pyramid():
    with pytest.raises(ModelError, match=r"100 frames .* 16 frames"):
        AFSD(AFSDSpec(**TINY), 4, (3, 100, 32, 32))


def test_released_head__other_clip_length_is_refused_when_it_runs(clips):
    network = tiny(attention_head="released")
    with pytest.raises(ModelError, match="time steps"):
        network(clips[:, :, :16])


def test_clips__of_another_size_are_refused(clips):
    with pytest.raises(ModelError, match="spatial size"):
        tiny()(torch.nn.functional.interpolate(clips, size=(32, 64, 64)))
