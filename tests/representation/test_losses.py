import math

import pytest
import torch

from featkd.representation import cross_entropy, cvae_loss, double_softmax_cross_entropy


@pytest.fixture
def inputs():
    generator = torch.Generator().manual_seed(0)

    def draw(*shape):
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    return {
        "reconstruction": draw(2, 3, 4, 2, 2),
        "features": draw(2, 3, 4, 2, 2),
        "mean": draw(2, 4, 3),
        "log_var": draw(2, 4, 3),
        "attention": draw(2, 3, 4).sigmoid(),
    }


def test_cvae_loss__compare_with_loop(inputs):
    error, kl = 0.0, 0.0
    made, features = inputs["reconstruction"].flatten(), inputs["features"].flatten()
    for first, second in zip(made.tolist(), features.tolist(), strict=True):
        error += (first - second) ** 2 / made.numel()
    for b in range(2):
        for t in range(4):
            for c in range(3):
                log_var = float(inputs["log_var"][b, t, c])
                distance = float(inputs["mean"][b, t, c] - inputs["attention"][b, c, t])
                # KL(N(m, v) || N(a, 1)) in one dimension
                kl += (distance**2 + math.exp(log_var) - 1 - log_var) / 2 / 24
    loss = cvae_loss(**inputs, kl_weight=0.3)
    assert loss.reconstruction.item() == pytest.approx(error, rel=1e-12)
    assert loss.kl.item() == pytest.approx(kl, rel=1e-12)
    assert loss.total.item() == pytest.approx(error + 0.3 * kl, rel=1e-12)


def test_cvae_loss__compare_with_closed_form_of_torch(inputs):
    posterior = torch.distributions.Normal(inputs["mean"], (inputs["log_var"] / 2).exp())
    prior = torch.distributions.Normal(inputs["attention"].transpose(1, 2), 1.0)
    expected = torch.distributions.kl_divergence(posterior, prior).mean()
    torch.testing.assert_close(cvae_loss(**inputs).kl, expected)


def test_cvae_loss__posterior_equal_to_prior(inputs):
    inputs |= {
        "mean": inputs["attention"].transpose(1, 2),
        "log_var": torch.zeros(2, 4, 3, dtype=torch.float64),
    }
    loss = cvae_loss(**inputs)
    assert loss.kl == 0
    assert loss.total == loss.reconstruction > 0


def test_cvae_loss__half_precision_inputs(inputs):
    loss = cvae_loss(
        **{name: tensor.half() * 300 for name, tensor in inputs.items() if "log" not in name},
        log_var=inputs["log_var"].half(),
    )
    assert loss.total.dtype == torch.float32
    assert loss.total.isfinite()


def test_cross_entropy__compare_with_loop():
    logits = torch.tensor([[2.0, -1.0, 0.5], [0.0, 3.0, 1.0]], dtype=torch.float64)
    labels = [2, 0]
    expected = 0.0
    for row, label in zip(logits.tolist(), labels, strict=True):
        expected -= math.log(math.exp(row[label]) / sum(map(math.exp, row))) / 2
    loss = cross_entropy(logits, torch.tensor(labels))
    assert loss.item() == pytest.approx(expected, rel=1e-12)


def test_double_softmax_cross_entropy__compare_with_loop():
    frame_logits = torch.randn(
        2, 3, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64
    )
    labels = [2, 0]
    expected = 0.0
    for sample, label in zip(frame_logits.tolist(), labels, strict=True):
        summed = [0.0, 0.0, 0.0]
        for t in range(4):
            exponentials = [math.exp(row[t]) for row in sample]
            for k in range(3):
                summed[k] += exponentials[k] / sum(exponentials)
        expected -= math.log(math.exp(summed[label]) / sum(map(math.exp, summed))) / 2
    loss = double_softmax_cross_entropy(frame_logits, torch.tensor(labels))
    assert loss.item() == pytest.approx(expected, rel=1e-12)


def test_double_softmax_cross_entropy__is_bounded_below():
    # The published loss cannot reach zero: 7 steps give logits of at most 7.
    certain = torch.full((1, 5, 7), -100.0, dtype=torch.float64)
    certain[:, 1] = 100.0
    loss = double_softmax_cross_entropy(certain, torch.tensor([1]))
    assert loss.item() == pytest.approx(math.log(1 + 4 * math.exp(-7)), rel=1e-9)


def test_cvae_loss__numbers_of_the_specification():
    def waves(shape, function):
        return function(torch.arange(math.prod(shape), dtype=torch.float64)).view(shape)

    loss = cvae_loss(
        waves((1, 4, 3, 2, 2), torch.cos),
        waves((1, 4, 3, 2, 2), torch.sin),
        mean=waves((1, 3, 4), lambda i: (0.3 * i).sin()),
        log_var=waves((1, 3, 4), lambda i: (0.2 * i).cos()),
        attention=waves((1, 4, 3), lambda i: (0.5 * i).sin().sigmoid()),
    )
    expected = (1.0237143, 1.0023504, 0.2136382)
    assert [value.item() for value in loss] == pytest.approx(expected, abs=1e-6)
