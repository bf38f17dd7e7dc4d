import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from featkd.errors import ModelError
from featkd.representation import (
    ATTENTION_HEADS,
    PaperAttentionHead,
    ReleasedAttentionHead,
    build_attention_head,
)


def draw(seed, *shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@settings(max_examples=15, deadline=None)
@given(time=st.integers(1, 9), channels=st.integers(1, 40), seed=st.integers(0, 9))
def test_paper_head__any_time_and_channels(time, channels, seed):
    head = PaperAttentionHead(channels, (2, 3))
    attention = head(draw(seed, 2, channels, time, 2, 3))
    assert attention.shape == (2, channels, time)
    assert (attention > 0).all()
    assert (attention < 1).all()


def test_paper_head__one_frame_of_one_clip():
    # One value a group could not be normalised.
    assert PaperAttentionHead(4, (2, 2))(draw(0, 1, 4, 1, 2, 2)).shape == (1, 4, 1)


def test_paper_head__samples_do_not_mix():
    head = PaperAttentionHead(8, (2, 2))
    features = draw(0, 3, 8, 4, 2, 2)
    alone = torch.cat([head(features[index : index + 1]) for index in range(3)])
    torch.testing.assert_close(head(features), alone)


def test_paper_head__sees_three_frames():
    head = PaperAttentionHead(8, (2, 2), groups=1).double()
    head.temporal[1] = torch.nn.Identity()
    head.collapse.norm = torch.nn.Identity()
    torch.nn.init.constant_(head.collapse.convolution.bias, 10)  # no unit is off
    features = draw(0, 1, 8, 6, 2, 2).double()
    changed = features.clone()
    changed[:, :, 2] += 1
    difference = (head(features) - head(changed)).abs().amax(dim=(0, 1)) > 1e-12
    assert difference.tolist() == [False, True, True, True, False, False]


def test_paper_head__default_hidden():
    head = PaperAttentionHead(64, (7, 7))
    assert head.collapse.convolution.weight.shape == (32, 64, 1, 7, 7)
    assert head.temporal[0].weight.shape == (64, 32, 3)


def test_released_head__parameters_of_mixed_5c():
    with torch.device("meta"):
        head = ReleasedAttentionHead(1024, (7, 7), num_frames=8)
    count = sum(parameter.numel() for parameter in head.parameters())
    # methods: 27.3 million
    assert count == (1024 * 49 + 1) * 512 + 2 * 512 + (512 * 3 + 1) * 1024 + 2 * 1024 + 1025 * 8


def test_released_head__stretches_time():
    head = ReleasedAttentionHead(8, (2, 2), num_frames=4, upsample_length=6)
    assert head.temporal[3].weight.shape == (4, 6)
    attention = head(draw(0, 2, 8, 4, 2, 2))
    assert attention.shape == (2, 8, 4)
    assert (attention > 0).all()
    assert (attention < 1).all()


def test_released_head__other_time():
    head = ReleasedAttentionHead(8, (2, 2), num_frames=4)
    with pytest.raises(ModelError, match=r"5 time steps.*expected 4"):
        head(draw(0, 1, 8, 5, 2, 2))


@pytest.mark.parametrize("kind", sorted(ATTENTION_HEADS))
def test_attention_head__other_spatial_size(kind):
    head = build_attention_head(kind, (8, 4, 2, 2))
    with pytest.raises(ModelError, match=r"\(3, 3\).*\(2, 2\)"):
        head(draw(0, 1, 8, 4, 3, 3))


@pytest.mark.parametrize("kind", sorted(ATTENTION_HEADS))
def test_build_attention_head__every_parameter_learns(kind):
    head = build_attention_head(kind, (8, 4, 3, 2), hidden=6, groups=2)
    head(draw(0, 2, 8, 4, 3, 2)).square().sum().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in head.parameters())


def test_build_attention_head__for_features():
    assert isinstance(build_attention_head("paper", (8, 4, 2, 2)), PaperAttentionHead)
    released = build_attention_head("released", (8, 4, 2, 2))
    assert isinstance(released, ReleasedAttentionHead)
    assert (released.num_frames, released.upsample_length) == (4, 8)
