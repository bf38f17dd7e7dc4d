import math

import pytest
import torch

from featkd.detection.afsd import (
    BoundaryFeatures,
    ClipAnnotations,
    DetectionLossSpec,
    Detections,
    Priors,
    assign_priors,
    background_loss,
    boundary_maps,
    detection_terms,
    distance_tiou,
    focal_loss,
)

PRIORS = Priors(256, 6)
SPEC = DetectionLossSpec()


def flat(distance):
    """Predictions that are the same for every prior."""
    return {
        "loc": torch.full((126, 2), float(distance)),
        "conf": torch.zeros(126, 21),
        "prop_loc": torch.full((126, 2), 0.1),
        "prop_conf": torch.zeros(126, 21),
        "center": torch.zeros(126),
    }


def waves():
    """Predictions that differ from prior to prior."""
    k = torch.arange(126, dtype=torch.float64)
    classes = torch.arange(126 * 21, dtype=torch.float64).view(126, 21)
    sides = torch.arange(126 * 2, dtype=torch.float64).view(126, 2)
    exact = {
        "loc": 8 + 24 * torch.stack([(0.7 * k).sin() ** 2, (0.3 * k).cos() ** 2], dim=1),
        "conf": (0.37 * classes).sin(),
        "prop_loc": 0.2 * (0.53 * sides).cos(),
        "prop_conf": (0.11 * classes).cos(),
        "center": (0.9 * k).sin(),
    }
    return {name: value.float() for name, value in exact.items()}


def detections(predictions, requires_grad=False):
    generator = torch.Generator().manual_seed(0)

    def draw(*shape):
        return torch.rand(shape, generator=generator)

    values = [value[None].requires_grad_(requires_grad) for value in predictions.values()]
    boundaries = BoundaryFeatures(draw(1, 4, 256), draw(1, 8, 64), draw(1, 8, 64))
    return Detections(*values, boundaries)


def annotations(*rows):
    table = torch.tensor(rows)
    return ClipAnnotations(table[:, :2].float(), table[:, 2])


def compute(found, clip, spec=SPEC):
    assignment = assign_priors(PRIORS.centres, [clip])
    return detection_terms(found, assignment, boundary_maps([clip], 256), spec)


# Computed with the published functions; order: loc, cls, refined_loc, refined_cls, quality.
GOLDEN = {
    "one": (flat(16), [(64, 128, 5)], (0.580481, 4.099023, 1.823529, 6.497523, 0.693147)),
    "nested": (
        flat(32),
        [(64, 128, 5), (96, 112, 7)],
        (0.528992, 4.099023, 0.777083, 8.629521, 0.693147),
    ),
    "waves": (
        waves(),
        [(64, 128, 5), (96, 112, 7), (200, 240, 20)],
        (0.476506, 3.270909, 0.910011, 4.525702, 0.780404),
    ),
    "background": (waves(), [(0, 64, 0), (128, 256, 0)], (0, 94.803764, 0, 89.671997, 0)),
}
NAMES = ("loc", "cls", "refined_loc", "refined_cls", "quality")


@pytest.mark.parametrize("case", GOLDEN)
def test_detection_terms__published_numbers(case):
    predictions, rows, expected = GOLDEN[case]
    values = compute(detections(predictions), annotations(*rows)).unweighted()
    assert [values[name].item() for name in NAMES] == pytest.approx(expected, abs=1e-5, rel=1e-6)


def test_detection_terms__weights():
    spec = DetectionLossSpec(localisation_weight=3, classification_weight=2)
    terms = compute(detections(flat(16)), annotations((64, 128, 5)), spec)
    weights = {term.name: term.weight for term in terms}
    assert weights == {
        "loc": 3,
        "cls": 2,
        "refined_loc": 3,
        "refined_cls": 2,
        "quality": 2,
        "start": 1,
        "end": 1,
    }


def test_detection_terms__batch_is_counted_as_a_whole():
    rows = [(64, 128, 5)], [(96, 112, 7), (200, 240, 20)]
    clips = [annotations(*row) for row in rows]
    single = detections(waves())
    batch = Detections(
        *(torch.cat([value, value]) for value in single[:5]),
        BoundaryFeatures(*(torch.cat([value, value]) for value in single.boundaries)),
    )
    together = detection_terms(
        batch, assign_priors(PRIORS.centres, clips), boundary_maps(clips, 256), SPEC
    ).unweighted()
    counts = [(assign_priors(PRIORS.centres, [c]).labels > 0).sum().item() for c in clips]
    alone = [compute(single, clip).unweighted() for clip in clips]
    for name in ("loc", "cls", "quality"):
        total = sum(count * one[name].item() for count, one in zip(counts, alone, strict=True))
        assert together[name].item() == pytest.approx(total / sum(counts), rel=1e-5)


def test_detection_terms__no_action_keeps_a_graph():
    found = detections(waves(), requires_grad=True)
    terms = {term.name: term for term in compute(found, annotations((0, 64, 0)))}
    assert terms["loc"].value.item() == terms["refined_loc"].value.item() == 0
    terms["loc"].value.backward()
    assert found.coarse_distances.grad.abs().sum() == 0


@pytest.mark.parametrize("detached", [False, True])
def test_detection_terms__gradient_of_the_quality_target(detached):
    found = detections(waves(), requires_grad=True)
    spec = DetectionLossSpec(detach_quality_target=detached)
    terms = {term.name: term for term in compute(found, annotations((64, 128, 5)), spec)}
    terms["quality"].value.backward()
    reached = found.offsets.grad is not None and found.offsets.grad.abs().sum() > 0
    assert reached is not detached


def test_detection_terms__refined_targets_are_no_gradient_to_coarse_segments():
    found = detections(flat(32), requires_grad=True)
    terms = {term.name: term for term in compute(found, annotations((64, 128, 5)))}
    terms["refined_loc"].value.backward()
    assert found.coarse_distances.grad is None
    assert found.offsets.grad.abs().sum() > 0


def test_detection_terms__half_precision():
    found = detections(waves())
    narrow = Detections(
        *(value.bfloat16() for value in found[:5]),
        BoundaryFeatures(*(value.bfloat16() for value in found.boundaries)),
    )
    exact = compute(found, annotations((64, 128, 5))).unweighted()
    for name, value in compute(narrow, annotations((64, 128, 5))).unweighted().items():
        assert value.dtype == torch.float32
        assert value.item() == pytest.approx(exact[name].item(), rel=0.05)


def test_focal_loss__compare_with_loop():
    logits = torch.randn(2, 5, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    labels = torch.tensor([[0, 1, 2, 3, 0], [3, 0, 0, 2, 1]])
    expected = 0.0
    for rows, classes in zip(logits.tolist(), labels.tolist(), strict=True):
        for row, label in zip(rows, classes, strict=True):
            exponentials = [math.exp(value) for value in row]
            q = exponentials[label] / sum(exponentials) + 1e-6
            expected -= (0.75 if label else 0.25) * (1 - q) ** 2 * math.log(q)
    assert focal_loss(logits, labels).item() == pytest.approx(expected, rel=1e-9)


def test_background_loss__of_a_clip_while_nothing_is_learned():
    assert background_loss(torch.zeros(1, 126, 21)).item() == pytest.approx(86.99, abs=0.01)


def test_distance_tiou__known_by_hand():
    own = torch.tensor([[10.0, 10.0], [4.0, 0.0], [-3.0, -1.0]])
    others = torch.tensor([[5.0, 15.0], [4.0, 0.0], [2.0, 2.0]])
    expected = torch.tensor([15 / 25, 1.0, -4 / 4])
    torch.testing.assert_close(distance_tiou(own, others), expected)
