"""SAME padding as TensorFlow defines it: the I3D weights were trained with it."""

from collections.abc import Sequence

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Zeros before and after an axis so that its output has ``ceil(size / stride)`` entries.

    Args:
        size: length of the axis.
        kernel: kernel length.
        stride: step of the kernel.

    Returns:
        (front, back); back is one larger where the sum is odd.
    """
    total = max(kernel - (stride if size % stride == 0 else size % stride), 0)
    return total // 2, total - total // 2


def pad_same(
    x: Float[Tensor, "batch channels time height width"],
    kernel: Sequence[int],
    stride: Sequence[int],
) -> Float[Tensor, "batch channels padded_time padded_height padded_width"]:
    """Pad time, height and width with zeros; the tensor itself where nothing is to add."""
    amounts: list[int] = []
    for axis in (4, 3, 2):
        amounts.extend(same_padding(x.shape[axis], kernel[axis - 2], stride[axis - 2]))
    return F.pad(x, amounts) if any(amounts) else x
