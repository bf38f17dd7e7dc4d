import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from featkd.errors import ModelError
from featkd.evaluation import measure_cost
from featkd.models import I3D, LAST_LAYER, TEMPORAL_BLOCKS, ModelSpec, VideoClassifier
from featkd.models.i3d import MaxPool
from featkd.models.padding import pad_same, same_padding

UCF_INPUT = (3, 64, 224, 224)


@pytest.mark.parametrize(
    ("spec", "gmac"),
    [
        pytest.param(ModelSpec(name="i3d"), 111.15, id="i3d"),
        pytest.param(ModelSpec(name="top_i3d"), 45.36, id="top_i3d"),
        pytest.param(ModelSpec(name="top_i3d", attention_head="released"), 47.18, id="released"),
    ],
)
def test_cost__matches_the_published_family(spec: ModelSpec, gmac: float) -> None:
    with torch.device("meta"):
        model = VideoClassifier(spec, 101, UCF_INPUT)
    assert measure_cost(model, UCF_INPUT).gmac == pytest.approx(gmac, rel=1e-3)


def test_variants__only_their_temporal_blocks_look_along_time() -> None:
    for variant, blocks in TEMPORAL_BLOCKS.items():
        with torch.device("meta"):
            model = I3D(5, variant=variant)
        looking = {
            name.split(".")[0]
            for name, module in model.named_modules()
            if isinstance(module, torch.nn.Conv3d) and module.kernel_size[0] > 1
        }
        assert looking == blocks, variant


def test_features__same_shape_in_the_whole_family() -> None:
    for variant in TEMPORAL_BLOCKS:
        model = I3D(5, variant=variant, width=0.0625).eval()
        features = model.features(torch.zeros(1, 3, 16, 64, 64))
        assert features.shape == (1, 64, 2, 2, 2)
        assert (features >= 0).all()


def test_logits__frame_logits_are_one_fewer_than_time_steps() -> None:
    model = I3D(5, width=0.0625).eval()
    features = torch.rand(2, 64, 4, 2, 2)
    expected = torch.stack(
        [
            torch.nn.functional.linear(
                features[:, :, t : t + 2].mean(dim=(2, 3, 4)),
                model.logits.conv3d.weight.flatten(1),
                model.logits.conv3d.bias,
            )
            for t in range(3)
        ],
        dim=2,
    )
    torch.testing.assert_close(model.logits(features), expected)
    assert model.logits(features[:, :, :1]).shape == (2, 5, 1)


def test_single_frame_network__does_not_see_order() -> None:
    torch.manual_seed(0)
    model = I3D(5, variant="i2d", width=0.0625).eval()
    still = torch.rand(1, 3, 1, 32, 32).expand(1, 3, 16, 32, 32)
    once, twice = model(still), model(torch.cat([still, still], dim=2)[:, :, :16])
    torch.testing.assert_close(once, twice)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param({"variant": "x3d"}, "'x3d'", id="variant"),
        pytest.param({"width": 0.0}, "0.0", id="width"),
    ],
)
def test_i3d__wrong_arguments(arguments: dict[str, object], words: str) -> None:
    with pytest.raises(ModelError, match=words):
        I3D(5, **arguments)


@given(st.integers(1, 40), st.integers(1, 7), st.integers(1, 3))
def test_same_padding__output_is_size_over_stride(size: int, kernel: int, stride: int) -> None:
    front, back = same_padding(size, kernel, stride)
    assert 0 <= back - front <= 1
    if kernel >= stride:
        assert (size + front + back - kernel) // stride + 1 == -(-size // stride)


def test_pad_same__stem_of_even_size_pads_two_before_and_three_after() -> None:
    x = torch.ones(1, 1, 8, 8, 8)
    padded = pad_same(x, (7, 7, 7), (2, 2, 2))
    assert padded.shape == (1, 1, 13, 13, 13)
    assert padded[0, 0, 2:10, 2:10, 2:10].sum() == padded.sum() == 512


def test_classifier__hands_out_layers_and_attention() -> None:
    spec = ModelSpec(name="top_i3d", width=0.0625, attention_head="paper")
    model = VideoClassifier(spec, 5, (3, 16, 32, 32), layers=("Mixed_3c",)).eval()
    output = model(torch.zeros(2, 3, 16, 32, 32))
    assert output.logits.shape == (2, 5)
    assert {name: tuple(t.shape[1:]) for name, t in output.features.items()} == model.layer_shapes
    assert set(output.features) == {"Mixed_3c", LAST_LAYER}
    assert output.attention is not None
    assert output.attention.shape == (2, 64, 2)
    assert output.frame_logits is not None
    torch.testing.assert_close(output.frame_logits.mean(dim=2), output.logits)


def test_classifier__unknown_layer_is_named() -> None:
    with pytest.raises(ModelError, match="'Mixed_9z' is not in the model"):
        VideoClassifier(ModelSpec(width=0.0625), 5, (3, 16, 32, 32), layers=("Mixed_9z",))


@given(
    st.tuples(*[st.integers(1, 9)] * 3),
    st.sampled_from(
        [
            ((1, 3, 3), (1, 2, 2)),
            ((3, 3, 3), (2, 2, 2)),
            ((2, 2, 2), (2, 2, 2)),
            ((3, 3, 3), (1, 1, 1)),
            ((1, 3, 3), (1, 1, 1)),
        ]
    ),
)
def test_max_pool__equals_pooling_of_a_zero_padded_copy(
    size: tuple[int, int, int], window: tuple[tuple[int, int, int], tuple[int, int, int]]
) -> None:
    kernel, stride = window
    x = torch.rand(1, 2, *size, generator=torch.Generator().manual_seed(sum(size)))
    expected = torch.nn.functional.max_pool3d(pad_same(x, kernel, stride), kernel, stride)
    assert torch.equal(MaxPool(kernel, stride)(x), expected)
