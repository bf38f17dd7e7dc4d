"""What a lossy number format does to values."""

import math
from collections.abc import Iterable

import numpy as np
import torch
from jaxtyping import Shaped
from pydantic import NonNegativeFloat, NonNegativeInt

from featkd.cache.number_format import by_channel, decode, encode
from featkd.cache.spec import INTEGER_DTYPES, ArraySpec
from featkd.types import Spec


class CodecError(Spec):
    """How values x of an array differ from the x' that its number format gives back.

    It holds sums, in float64, so that those of parts can be added: see `merge`.
    """

    num_values: NonNegativeInt = 0
    """Values looked at. Where none of them can change, the sums below are zero."""
    num_nonzeros: NonNegativeInt = 0
    """Values other than zero."""
    num_nonzeros_lost: NonNegativeInt = 0
    """Of these, the ones with x' = 0."""
    sum_squares: NonNegativeFloat = 0.0
    """Sum of x**2."""
    sum_decoded_squares: NonNegativeFloat = 0.0
    """Sum of x'**2."""
    sum_products: float = 0.0
    """Sum of x * x'."""
    sum_error_squares: NonNegativeFloat = 0.0
    """Sum of (x - x')**2."""
    worst_channel_relative_l2: NonNegativeFloat = 0.0
    """The largest relative L2 error of a channel over the rows that were measured together. Rows
    without channels, scalars and vectors, count as one."""

    @property
    def relative_l2(self) -> float:
        """Norm of x - x' by the norm of x; 0 where everything is zero."""
        return _relative(self.sum_error_squares, self.sum_squares)

    @property
    def cosine(self) -> float:
        """Cosine of the angle between x and x'; 1 where both are zero."""
        norms = math.sqrt(self.sum_squares) * math.sqrt(self.sum_decoded_squares)
        if norms == 0:
            return 1.0 if self.sum_squares == self.sum_decoded_squares else 0.0
        return min(self.sum_products / norms, 1.0)

    @property
    def nonzeros_lost(self) -> float:
        """Share of the values other than zero that come back as zero."""
        return self.num_nonzeros_lost / self.num_nonzeros if self.num_nonzeros else 0.0

    def figures(self) -> dict[str, float]:
        """What people compare, by name."""
        return {
            "relative_l2": self.relative_l2,
            "cosine": self.cosine,
            "worst_channel_relative_l2": self.worst_channel_relative_l2,
            "nonzeros_lost": self.nonzeros_lost,
        }


def measure_codec_error(spec: ArraySpec, values: Shaped[np.ndarray, "rows ..."]) -> CodecError:
    """Encode and decode values and compare.

    Args:
        spec: the array.
        values: (rows, *shape), as for `featkd.cache.number_format.encode`, every row representable.

    Raises:
        CacheError: ``values`` have another shape or kind of number.
    """
    decoded = decode(spec, encode(spec, values))  # may share memory with the values
    if _is_exact(spec, values.dtype):
        return CodecError(num_values=values.size)
    x = by_channel(spec, torch.from_numpy(values.astype(np.float64, order="C")))
    x_decoded = by_channel(spec, decoded.double())
    channel_squares = x.square().sum(dim=(0, 2))
    channel_error_squares = (x - x_decoded).square().sum(dim=(0, 2))
    return CodecError(
        num_values=x.numel(),
        num_nonzeros=int(x.count_nonzero()),
        num_nonzeros_lost=int(((x != 0) & (x_decoded == 0)).sum()),
        sum_squares=float(channel_squares.sum()),
        sum_decoded_squares=float(x_decoded.square().sum()),
        sum_products=float((x * x_decoded).sum()),
        sum_error_squares=float(channel_error_squares.sum()),
        worst_channel_relative_l2=max(
            map(_relative, channel_error_squares.tolist(), channel_squares.tolist())
        ),
    )


def _is_exact(spec: ArraySpec, dtype: np.dtype) -> bool:
    """Whether an array keeps such numbers as they are; nothing needs to be measured then."""
    if spec.dtype in INTEGER_DTYPES:
        return True
    native = spec.dtype in {"float16", "float32", "float64"}
    return native and np.can_cast(dtype, np.dtype(spec.dtype))


def merge(errors: Iterable[CodecError]) -> CodecError:
    """The error over all rows of several measurements of one array.

    It is what `measure_codec_error` says of all these rows at once, but for the worst channel,
    which is the worst of any measurement and thus at least as large.
    """
    measured = list(errors)
    sums = {
        name: sum(getattr(error, name) for error in measured)
        for name in CodecError.model_fields
        if name != "worst_channel_relative_l2"
    }
    worst = max((error.worst_channel_relative_l2 for error in measured), default=0.0)
    return CodecError(**sums, worst_channel_relative_l2=worst)


def _relative(error_squares: float, squares: float) -> float:
    # Every format keeps a channel of zeros exactly: without squares there is no error.
    return math.sqrt(error_squares / squares) if squares else 0.0
