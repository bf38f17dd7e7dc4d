import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from featkd.representation import (
    attended_feature,
    attended_feature_batch_sum,
    attended_feature_inverse_sum,
)


def draw(seed, batch=3):
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(batch, 4, 3, 2, 2, generator=generator, dtype=torch.float64)
    return features, torch.rand(batch, 4, 3, generator=generator, dtype=torch.float64)


def loop_over_samples(features, attention):
    result = torch.zeros_like(features)
    for b in range(features.shape[0]):
        before = after = 0.0
        for c, t, y, x in torch.cartesian_prod(*map(torch.arange, features.shape[1:])).tolist():
            result[b, c, t, y, x] = features[b, c, t, y, x] * attention[b, c, t]
            before += float(features[b, c, t, y, x]) ** 2
            after += float(result[b, c, t, y, x]) ** 2
        result[b] *= (before / after) ** 0.5
    return result


def test_attended_feature__compare_with_loop():
    features, attention = draw(0)
    expected = loop_over_samples(features, attention)
    torch.testing.assert_close(attended_feature(features, attention), expected)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), scale=st.floats(1e-6, 1e6))
def test_attended_feature__keeps_the_norm_of_each_sample(seed, scale):
    features, attention = draw(seed)
    attended = attended_feature(scale * features, attention)
    torch.testing.assert_close(
        attended.flatten(1).norm(dim=1), scale * features.flatten(1).norm(dim=1)
    )


@pytest.mark.parametrize("rescale", [attended_feature, attended_feature_batch_sum])
def test_attended_feature__nothing_attended(rescale):
    features, attention = draw(0)
    features[0] = 0
    attention[1] = 0
    if rescale is attended_feature_batch_sum:
        features[:] = 0
    features.requires_grad_()
    attention.requires_grad_()
    attended = rescale(features, attention)
    attended.square().sum().backward()
    assert (attended[:2] == 0).all()
    assert features.grad.isfinite().all()
    assert attention.grad.isfinite().all()


def test_attended_feature__gradient():
    features, attention = draw(1, batch=2)
    features.requires_grad_()
    attention.requires_grad_()
    assert torch.autograd.gradcheck(attended_feature, (features, attention))
    assert torch.autograd.gradcheck(attended_feature_batch_sum, (features, attention))


def test_attended_feature__half_precision_does_not_overflow():
    features = torch.full((1, 64, 4, 7, 7), 200.0, dtype=torch.float16)
    attention = torch.full((1, 64, 4), 0.5, dtype=torch.float16)
    for rescale in (attended_feature, attended_feature_batch_sum):
        attended = rescale(features, attention)
        assert attended.dtype == torch.float16
        torch.testing.assert_close(attended, features)


def test_attended_feature_batch_sum__keeps_the_sum_of_the_batch():
    features, attention = draw(2)
    attended = attended_feature_batch_sum(features, attention)
    torch.testing.assert_close(attended.sum(), features.sum())
    ratio = attended / (features * attention[..., None, None])
    torch.testing.assert_close(ratio, ratio[:1, :1, :1, :1, :1].expand_as(ratio))


def test_attended_feature_inverse_sum__attention_adds_up_to_one():
    features, attention = draw(3)
    attended = attended_feature_inverse_sum(features, attention)
    share = attended / features
    torch.testing.assert_close(share[..., 0, 0].sum(), torch.tensor(1.0, dtype=torch.float64))
    torch.testing.assert_close(share[..., 1, 0], attention / attention.sum())
