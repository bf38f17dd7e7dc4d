"""Tiny detectors: 14 priors, 4 actions, maps of 16 and 32 channels or so."""

from collections.abc import Callable

import pytest
import torch

from featkd.detection.afsd import (
    AFSD,
    AFSDSpec,
    ClipAnnotations,
    DetectionLossSpec,
    assign_priors,
    boundary_maps,
)
from featkd.detection.distillation import DetectionSignal, DetectionTargets, Rearranged
from featkd.representation import CVAE

INPUT = (3, 32, 32, 32)


@pytest.fixture
def losses():
    return DetectionLossSpec()


@pytest.fixture
def make_network() -> Callable[..., AFSD]:
    def make(seed=0, with_background=False, **settings):
        torch.manual_seed(seed)
        spec = AFSDSpec(**{"width": 0.0625, "num_levels": 3, **settings})
        return AFSD(spec, 4, INPUT, with_background=with_background)

    return make


@pytest.fixture
def clips():
    return torch.randn(2, *INPUT, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def student(make_network):
    return make_network(1, name="top_i3d", attention_head="paper", with_background=True)


@pytest.fixture
def teacher(make_network):
    return make_network(2, attention_head="paper").eval()


@pytest.fixture
def signal(teacher, clips):
    torch.manual_seed(3)
    output = teacher(clips)
    cvaes = {
        layer: CVAE(value.shape[1], value.shape[3:]) for layer, value in output.features.items()
    }
    return DetectionSignal.live(output, cvaes)


@pytest.fixture
def targets(student):
    annotations = [
        ClipAnnotations(torch.tensor([[4.0, 20.0]]), torch.tensor([2])),
        ClipAnnotations(torch.tensor([[2.0, 9.0], [16.0, 30.0]]), torch.tensor([1, 4])),
    ]
    assignment = assign_priors(student.detector.priors.centres, annotations)
    return DetectionTargets(assignment, boundary_maps(annotations, INPUT[1]))


@pytest.fixture
def make_rearranged(student, teacher) -> Callable[..., Rearranged]:
    def make(clips):
        boundaries, attention = student.boundaries(clips)
        _, taught = teacher.boundaries(clips)
        segments = torch.tensor([[[4.0, 9.0], [14.0, 20.0], [10.0, 13.0]]]).expand(2, -1, -1)
        return Rearranged(
            boundaries,
            segments,
            attention,
            {layer: value.detach() for layer, value in taught.items()},
        )

    return make
