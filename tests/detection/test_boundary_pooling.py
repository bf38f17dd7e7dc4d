import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from featkd.detection import boundary_pooling
from featkd.detection.boundary_pooling import boundary_max_pool
from featkd.errors import ModelError


def slow_pool(features, windows):
    """Maximum and its earliest position, one output at a time."""
    batch, channels, time = features.shape
    maxima = torch.empty(batch, channels, windows.shape[1], dtype=features.dtype)
    positions = torch.empty(maxima.shape, dtype=torch.long)
    for b in range(batch):
        for c in range(channels):
            for k in range(windows.shape[1]):
                begin, stop = windows[b, k, :2] if c < channels // 2 else windows[b, k, 2:]
                first = min(max(int(begin), 0), time - 1)
                last = max(min(max(int(stop), 0), time - 1), first)
                values = features[b, c, first : last + 1].tolist()
                maxima[b, c, k] = max(values)
                positions[b, c, k] = first + values.index(max(values))
    return maxima, positions


def draw(seed, batch=2, channels=6, time=20, segments=7, *, steps=None):
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(batch, channels, time, generator=generator, dtype=torch.float64)
    if steps is not None:
        features = (features * steps).round() / steps
    windows = torch.rand(batch, segments, 4, generator=generator, dtype=torch.float64)
    return features, windows * (time + 10) - 5


def test_boundary_max_pool__numbers_of_the_specification():
    steps, channels = torch.arange(8), torch.arange(4)
    features = ((5 * steps + 3 * channels[:, None]) % 11).float()[None].requires_grad_()
    windows = torch.tensor([[[-2, 1, 3, 6], [2.9, 4.2, 6, 3], [7.6, 12, -0.7, 0.9]]])
    pooled = boundary_max_pool(features, windows)
    assert pooled.tolist() == [[[5, 10, 2], [8, 7, 5], [10, 3, 6], [7, 6, 9]]]
    came_from = [
        torch.autograd.grad(pooled[0, :, k].sum(), features, retain_graph=True)[0][0].argmax(dim=1)
        for k in range(3)
    ]
    expected = [[1, 2, 7], [1, 3, 7], [3, 6, 0], [4, 6, 0]]
    assert torch.stack(came_from, dim=1).tolist() == expected


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    time=st.integers(1, 40),
    segments=st.integers(0, 9),
    steps=st.sampled_from([None, 1]),
)
def test_boundary_max_pool__compare_with_loop(seed, time, segments, steps):
    # Rounded features are full of equal maxima: the earliest one gets the gradient.
    features, windows = draw(seed, time=time, segments=segments, steps=steps)
    features.requires_grad_()
    maxima, positions = slow_pool(features.detach(), windows)
    pooled = boundary_max_pool(features, windows)
    assert torch.equal(pooled, maxima)
    weight = torch.randn(pooled.shape, dtype=torch.float64)
    (gradient,) = torch.autograd.grad((pooled * weight).sum(), features)
    expected = torch.zeros_like(features).scatter_add(2, positions, weight)
    torch.testing.assert_close(gradient, expected)


@pytest.mark.parametrize("segments", [3, 20, 31])
def test_boundary_max_pool__gradcheck(segments):
    # As many windows as time steps, fewer and more: the published kernel serves the first alone.
    features, windows = draw(segments, batch=2, channels=4, time=20, segments=segments)
    features.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: boundary_max_pool(x, windows), (features,))


@pytest.mark.parametrize("steps", [None, 1])
def test_boundary_max_pool__all_groups_in_one_table(monkeypatch, steps):
    # As on devices other than CPUs.
    features, windows = draw(3, batch=3, steps=steps)
    features.requires_grad_()
    pooled = boundary_max_pool(features, windows)
    weight = torch.randn(pooled.shape, dtype=torch.float64)
    (gradient,) = torch.autograd.grad(pooled, features, weight)
    monkeypatch.setattr(boundary_pooling, "_groups_at_once", len)
    together = boundary_max_pool(features, windows)
    assert torch.equal(together, pooled)
    assert torch.equal(torch.autograd.grad(together, features, weight)[0], gradient)


def test_boundary_max_pool__features_that_do_not_lie_in_order():
    features, windows = draw(4)
    scattered = features.transpose(0, 2).contiguous().transpose(0, 2).requires_grad_()
    maxima, positions = slow_pool(features, windows)
    pooled = boundary_max_pool(scattered, windows)
    assert torch.equal(pooled, maxima)
    weight = torch.randn(positions.mT.shape, dtype=torch.float64).mT
    (gradient,) = torch.autograd.grad(pooled, scattered, weight)
    expected = torch.zeros_like(features).scatter_add(2, positions, weight)
    torch.testing.assert_close(gradient, expected)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_boundary_max_pool__narrow_numbers(dtype):
    # Positions in a table this large are no half-precision numbers.
    features, windows = draw(0, batch=1, channels=256, time=64, segments=5)
    features = features.to(dtype).requires_grad_()
    maxima, positions = slow_pool(features.detach(), windows)
    pooled = boundary_max_pool(features, windows)
    assert torch.equal(pooled, maxima)
    pooled.sum().backward()
    ones = torch.ones(positions.shape, dtype=dtype)
    assert torch.equal(features.grad, torch.zeros_like(features).scatter_add(2, positions, ones))


def test_boundary_max_pool__no_gradient_to_windows():
    features, windows = draw(1)
    windows.requires_grad_()
    boundary_max_pool(features.requires_grad_(), windows).sum().backward()
    assert windows.grad is None
    assert features.grad is not None


def test_boundary_max_pool__shapes_without_data():
    pooled = boundary_max_pool(
        torch.empty(2, 4, 9, device="meta"), torch.empty(2, 5, 4, device="meta")
    )
    assert pooled.shape == (2, 4, 5)


def test_boundary_max_pool__odd_channels():
    features, windows = draw(0, channels=3)
    with pytest.raises(ModelError, match="3 channels"):
        boundary_max_pool(features, windows)
