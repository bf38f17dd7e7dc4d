import math

import pytest
import torch

from featkd.detection.afsd import BoundaryFeatures, boundary_losses, consistency_loss

FRAMES, STEPS = 16, 4


@pytest.fixture
def boundaries():
    generator = torch.Generator().manual_seed(0)

    def draw(channels, time):
        features = torch.randn(2, channels, time, generator=generator, dtype=torch.float64)
        return features.relu().requires_grad_()

    return BoundaryFeatures(draw(6, FRAMES), draw(12, STEPS), draw(12, STEPS))


@pytest.fixture
def maps():
    maps = torch.zeros(2, 2, FRAMES)
    maps[0, 0, 2:7] = 1
    maps[0, 1, 9:11] = 1
    maps[1, 0, 12:] = 1
    return maps


def slow_score_loss(feature, maps, boundary):
    batch, channels, time = feature.shape
    half, stride = channels // 2, maps.shape[2] // time
    total = 0.0
    for b in range(batch):
        for t in range(time):
            column = feature[b, boundary * half : (boundary + 1) * half, t].tolist()
            score = sum(math.tanh(value) for value in column) / half
            right = score if maps[b, boundary, t * stride] else 1 - score
            total -= max(math.log(right), -100) if right > 0 else -100
    return total / (batch * time)


def test_boundary_losses__compare_with_loop(boundaries, maps):
    losses = boundary_losses(boundaries, maps)
    for boundary, loss in enumerate(losses):
        frames, localisation, classification = (
            slow_score_loss(feature.detach(), maps, boundary) for feature in boundaries
        )
        expected = frames + 0.1 * (localisation + classification)
        assert loss.item() == pytest.approx(expected, rel=1e-6)


def test_boundary_losses__halves_of_the_channels(boundaries, maps):
    boundary_losses(boundaries, maps).start.backward()
    for feature in boundaries:
        starts, ends = feature.grad.chunk(2, dim=1)
        assert starts.abs().sum() > 0
        assert ends.abs().sum() == 0


def test_boundary_losses__silent_feature_has_a_finite_gradient(maps):
    silent = [torch.zeros(2, 6, time, requires_grad=True) for time in (FRAMES, STEPS, STEPS)]
    sum(boundary_losses(BoundaryFeatures(*(f.relu() for f in silent)), maps)).backward()
    assert all(feature.grad.isfinite().all() for feature in silent)


def slow_pool(feature, windows, half, row):
    """Maxima of one sample and one segment over a window given in the feature's own time."""
    first, last = (min(max(int(value), 0), feature.shape[1] - 1) for value in windows)
    channels = feature.shape[0] // 2
    return [
        max(line[first : max(first, last) + 1])
        for line in feature[half * channels : (half + 1) * channels].tolist()
    ]


def slow_consistency(boundaries, segments):
    total = 0.0
    for weight, feature in zip((1.0, 0.1, 0.1), boundaries, strict=True):
        stride = FRAMES // feature.shape[2]
        for b in range(len(segments)):
            vectors = []
            for row, half in ((0, 1), (1, 0), (2, 0)):
                start, end = segments[b, row].tolist()
                length = end - start + 1
                outwards, inwards = max(length / 10, 1), max(length / 4, 1)
                window = (
                    (end - inwards, end + outwards) if half else (start - outwards, start + inwards)
                )
                window = [round(value) / stride for value in window]
                vectors.append(slow_pool(feature[b].detach(), window, half, row))
            anchor, positive, negative = vectors
            # torch adds 1e-6 to each difference.
            near = math.dist(anchor, [value - 1e-6 for value in positive])
            far = math.dist(anchor, [value - 1e-6 for value in negative])
            total += weight * max(near - far + 1, 0) / len(segments)
    return total


def test_consistency_loss__compare_with_loop(boundaries):
    segments = torch.tensor([[[1, 5], [9, 13], [6, 8]], [[0, 3], [10, 15], [4, 9]]]).float()
    loss = consistency_loss(boundaries, segments)
    assert loss.item() == pytest.approx(slow_consistency(boundaries, segments), rel=1e-9)
    loss.backward()
    assert all(feature.grad.abs().sum() > 0 for feature in boundaries)
