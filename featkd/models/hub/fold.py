"""From what a layer of a foreign model gives to a map (B, C, T, H, W)."""

import math
from typing import Annotated, Literal

from jaxtyping import Float
from pydantic import Field, PositiveInt, model_validator
from torch import Tensor

from featkd.errors import ModelError
from featkd.types import Spec

ClipsShape = tuple[int, int, int, int, int]
"""(B, C, T, H, W) of the clips that the model was shown."""


class Fold(Spec):
    """How the layers of a model lay out what they give."""

    layout: Literal["channels_first", "channels_last", "tokens"] = "channels_first"
    """Axes after the batch: (C, T, H, W), (T, H, W, C), or (tokens, C)."""
    per_frame: bool = False
    """Whether layers see frames one by one: the batch is (B T), and there is no axis of time."""
    patch: tuple[PositiveInt, PositiveInt, PositiveInt] | None = None
    """Frames, rows and columns of the clip that a token stands for. None where a layer gives the
    (T, H, W) of its tokens beside them, as torchvision's MViT does."""
    prefix_tokens: Annotated[int, Field(ge=0)] = 0
    """Tokens before those of the grid, such as a class token; no part of the map."""
    order: Literal["thw", "hwt"] = "thw"
    """How tokens follow each other: the last axis changes fastest."""

    @model_validator(mode="after")
    def _only_tokens_have_patches(self) -> "Fold":
        if self.layout != "tokens" and (self.patch or self.prefix_tokens):
            raise ValueError(
                f"layout is {self.layout!r}, but patch or prefix_tokens is set; expected tokens"
            )
        return self


def fold_output(
    output: object, fold: Fold, clips_shape: ClipsShape, *, layer: str
) -> Float[Tensor, "batch channels time height width"]:
    """Bring the output of a layer into the form of a map.

    Args:
        output: a tensor, or a tuple that begins with one.
        fold: how it is laid out.
        clips_shape: of the model's input.
        layer: for the message.

    Raises:
        ModelError: the output is no tensor, or has not the axes or the number of tokens declared.
    """
    tensor = output[0] if isinstance(output, tuple | list) and output else output
    if not isinstance(tensor, Tensor):
        raise ModelError(f"layer {layer!r} gives {type(output).__name__}; expected a tensor")
    num_clips, _, num_frames, _, _ = clips_shape
    batch = num_clips * num_frames if fold.per_frame else num_clips
    if fold.layout == "tokens":
        grid = _grid(output, fold, clips_shape, layer)
        num_tokens = fold.prefix_tokens + math.prod(grid)
        _require(tensor, (batch, num_tokens, None), layer, f"tokens of a grid (T, H, W) {grid}")
        tokens = tensor[:, fold.prefix_tokens :].transpose(1, 2)
        time, height, width = grid
        if fold.order == "thw":
            folded = tokens.reshape(*tokens.shape[:2], *grid)
        else:
            folded = tokens.reshape(*tokens.shape[:2], height, width, time).movedim(4, 2)
        folded = folded.squeeze(2) if fold.per_frame else folded
    else:
        axes = (None,) * (3 if fold.per_frame else 4)
        _require(tensor, (batch, *axes), layer, fold.layout.replace("_", " "))
        folded = tensor if fold.layout == "channels_first" else tensor.movedim(-1, 1)
    if fold.per_frame:
        folded = folded.reshape(num_clips, num_frames, *folded.shape[1:]).movedim(1, 2)
    return folded


def _grid(output: object, fold: Fold, clips_shape: ClipsShape, layer: str) -> tuple[int, int, int]:
    if fold.patch is None:
        beside = output[1] if isinstance(output, tuple | list) and len(output) > 1 else None
        if not isinstance(beside, tuple | list) or len(beside) != 3:
            raise ModelError(
                f"layer {layer!r} does not say the (T, H, W) of its tokens; expected a pair of "
                "tokens and grid, or a declared patch"
            )
        time, height, width = map(int, beside)
        return time, height, width
    _, _, num_frames, height, width = clips_shape
    frames, rows, columns = fold.patch
    time = 1 if fold.per_frame else num_frames // frames
    return time, height // rows, width // columns


def _require(tensor: Tensor, shape: tuple[int | None, ...], layer: str, what: str) -> None:
    fits = tensor.ndim == len(shape) and all(
        size is None or size == own for size, own in zip(shape, tensor.shape, strict=True)
    )
    if not fits:
        expected = ", ".join("any" if size is None else str(size) for size in shape)
        raise ModelError(
            f"layer {layer!r} gives a tensor of shape {tuple(tensor.shape)}, which does not fold "
            f"to a map; expected ({expected}): {what}"
        )
