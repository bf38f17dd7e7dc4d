import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import Tensor

from featkd.errors import ModelError
from featkd.models.hub import Fold, fold_output

SIZE = st.integers(1, 4)


def numbered(*shape: int) -> Tensor:
    """A map whose every entry tells where it belongs."""
    count = int(torch.tensor(shape).prod())
    return torch.arange(float(count)).reshape(shape)


@given(
    st.tuples(SIZE, SIZE, SIZE, SIZE, SIZE), st.sampled_from(["channels_first", "channels_last"])
)
def test_fold__maps(shape: tuple[int, int, int, int, int], layout: str) -> None:
    expected = numbered(*shape)
    given_out = expected if layout == "channels_first" else expected.permute(0, 2, 3, 4, 1)
    clips = (shape[0], 3, 8, 32, 32)
    fold = Fold.model_validate({"layout": layout})
    assert torch.equal(fold_output(given_out, fold, clips, layer="x"), expected)


@given(
    grid=st.tuples(SIZE, SIZE, SIZE),
    batch=SIZE,
    channels=SIZE,
    prefix=st.integers(0, 2),
    order=st.sampled_from(["thw", "hwt"]),
    patch=st.tuples(st.integers(1, 2), st.integers(1, 3), st.integers(1, 3)),
)
def test_fold__tokens_one_by_one(
    grid: tuple[int, int, int],
    batch: int,
    channels: int,
    prefix: int,
    order: str,
    patch: tuple[int, int, int],
) -> None:
    time, height, width = grid
    expected = numbered(batch, channels, *grid)
    tokens = torch.full((batch, prefix + time * height * width, channels), -1.0)
    for t in range(time):
        for h in range(height):
            for w in range(width):
                index = (t * height + h) * width + w
                if order == "hwt":
                    index = (h * width + w) * time + t
                tokens[:, prefix + index] = expected[:, :, t, h, w]
    clips = (batch, 3, time * patch[0], height * patch[1], width * patch[2])
    fold = Fold(layout="tokens", patch=patch, prefix_tokens=prefix, order=order)  # type: ignore[arg-type]
    assert torch.equal(fold_output((tokens, None), fold, clips, layer="x"), expected)


@given(st.tuples(SIZE, SIZE, SIZE, SIZE, SIZE), st.integers(0, 2))
def test_fold__frames(shape: tuple[int, int, int, int, int], prefix: int) -> None:
    batch, channels, time, height, width = shape
    expected = numbered(*shape)
    frames = torch.stack([expected[b, :, t] for b in range(batch) for t in range(time)])
    clips = (batch, 3, time, 4 * height, 4 * width)
    first = Fold(per_frame=True)
    last = Fold(layout="channels_last", per_frame=True)
    tokens = Fold(layout="tokens", per_frame=True, patch=(1, 4, 4), prefix_tokens=prefix)
    as_tokens = frames.flatten(2).transpose(1, 2)
    padding = torch.full((batch * time, prefix, channels), -1.0)
    for fold, output in (
        (first, frames),
        (last, frames.permute(0, 2, 3, 1)),
        (tokens, torch.cat([padding, as_tokens], dim=1)),
    ):
        assert torch.equal(fold_output(output, fold, clips, layer="x"), expected)


def test_fold__grid_beside_the_tokens() -> None:
    expected = numbered(2, 5, 2, 3, 4)
    tokens = torch.cat([torch.zeros(2, 1, 5), expected.flatten(2).transpose(1, 2)], dim=1)
    fold = Fold(layout="tokens", prefix_tokens=1)
    folded = fold_output((tokens, (2, 3, 4)), fold, (2, 3, 8, 32, 32), layer="blocks.1")
    assert torch.equal(folded, expected)
    with pytest.raises(ModelError, match=r"'blocks\.1' does not say the \(T, H, W\)"):
        fold_output(tokens, fold, (2, 3, 8, 32, 32), layer="blocks.1")


@pytest.mark.parametrize(
    ("fold", "output", "words"),
    [
        pytest.param(Fold(), {"a": 1}, "gives dict; expected a tensor", id="no tensor"),
        pytest.param(Fold(), (), "gives tuple; expected a tensor", id="empty tuple"),
        pytest.param(Fold(), torch.zeros(2, 5), r"\(2, 5\), which does not fold", id="pooled"),
        pytest.param(
            Fold(layout="tokens", patch=(2, 16, 16)),
            torch.zeros(2, 17, 5),
            r"\(2, 17, 5\).*expected \(2, 16, any\): tokens of a grid \(T, H, W\) \(4, 2, 2\)",
            id="undeclared class token",
        ),
        pytest.param(
            Fold(per_frame=True), torch.zeros(2, 5, 2, 2), r"expected \(16, any", id="not frames"
        ),
    ],
)
def test_fold__what_does_not_fit_is_named(fold: Fold, output: object, words: str) -> None:
    with pytest.raises(ModelError, match=words) as caught:
        fold_output(output, fold, (2, 3, 8, 32, 32), layer="encoder.3")
    assert "'encoder.3'" in str(caught.value)


def test_fold__patches_are_of_tokens() -> None:
    with pytest.raises(ValidationError, match="expected tokens"):
        Fold(patch=(1, 2, 2))
