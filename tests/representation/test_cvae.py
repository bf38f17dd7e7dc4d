import pytest
import torch

from featkd.errors import ModelError
from featkd.representation import CVAE


@pytest.fixture
def inputs():
    generator = torch.Generator().manual_seed(0)
    features = torch.rand(2, 8, 3, 4, 5, generator=generator)
    attention = torch.rand(2, 8, 3, generator=generator)
    return features, attention, CVAE.sample_noise(attention, generator)


def test_cvae__shapes(inputs):
    features, attention, noise = inputs
    reconstruction, (mean, log_var) = CVAE(8, (4, 5)).reconstruct(*inputs)
    assert reconstruction.shape == features.shape
    assert mean.shape == log_var.shape == noise.shape == (2, 3, 8)
    assert CVAE(8, (4, 5), hidden=6).generate(attention, noise).shape == features.shape


def test_cvae__reconstruct_decodes_a_draw_from_the_posterior(inputs):
    features, attention, noise = inputs
    cvae = CVAE(8, (4, 5))
    mean, log_var = cvae.encode(features, attention)
    latent = mean + noise * log_var.exp().sqrt()
    expected = cvae.decode(latent, attention)
    torch.testing.assert_close(cvae.reconstruct(features, attention, noise).features, expected)


def test_cvae__generate_decodes_a_draw_around_the_attention(inputs):
    _, attention, noise = inputs
    cvae = CVAE(8, (4, 5))
    expected = cvae.decode(attention.transpose(1, 2) + noise, attention)
    torch.testing.assert_close(cvae.generate(attention, noise), expected)


def test_cvae__time_steps_share_only_the_normalisation(inputs):
    features, attention, _ = inputs
    cvae = CVAE(8, (4, 5))
    cvae.collapse.norm = torch.nn.Identity()
    changed = features.clone()
    changed[:, :, 1] += 1
    before, after = cvae.encode(features, attention), cvae.encode(changed, attention)
    moved = (before.mean - after.mean).abs().amax(dim=(0, 2)) > 1e-7
    assert moved.tolist() == [False, True, False]


def test_cvae__hidden_narrows_the_convolutions():
    def count(cvae):
        return sum(parameter.numel() for parameter in cvae.parameters())

    with torch.device("meta"):
        published, narrow = CVAE(1024, (7, 7)), CVAE(1024, (7, 7), hidden=64)
    assert count(published) == pytest.approx(112e6, rel=0.01)
    assert count(narrow) < count(published) / 14


def test_cvae__every_parameter_learns(inputs):
    cvae = CVAE(8, (4, 5))
    cvae.reconstruct(*inputs).features.square().sum().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in cvae.parameters())


def test_cvae__other_spatial_size(inputs):
    features, attention, _ = inputs
    with pytest.raises(ModelError, match=r"\(4, 5\).*\(3, 3\)"):
        CVAE(8, (3, 3)).encode(features, attention)


def test_sample_noise__follows_the_generator():
    attention = torch.zeros(50, 20, 30, dtype=torch.float64)
    first, again = (
        CVAE.sample_noise(attention, torch.Generator().manual_seed(7)) for _ in range(2)
    )
    assert first.dtype == torch.float64
    assert first.shape == (50, 30, 20)
    assert torch.equal(first, again)
    assert abs(first.mean()) < 0.03
    assert abs(first.std() - 1) < 0.03
