"""Seeds, and the state of all random generators.

Every epoch starts from a state that depends on (seed, epoch) alone, so a resumed run draws what an
uninterrupted one would have drawn. Runs that take turns each keep their own state.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor


def seed_everything(seed: int, epoch: int = 0) -> None:
    """Set the generators of Python, NumPy and torch from (seed, epoch)."""
    mixed = int(np.random.SeedSequence([seed, epoch]).generate_state(1)[0])
    random.seed(mixed)
    np.random.seed(mixed)  # noqa: NPY002 - libraries may draw from the global generator
    torch.manual_seed(mixed)


@dataclass(frozen=True, slots=True)
class RandomState:
    """Where the global generators stand: those that `seed_everything` sets."""

    python: tuple[Any, ...]
    numpy: dict[str, Any]
    torch_cpu: Tensor
    torch_cuda: Sequence[Tensor]

    @classmethod
    def capture(cls) -> "RandomState":
        """The state now."""
        numpy_state = np.random.get_state(legacy=False)  # noqa: NPY002 - as above
        assert isinstance(numpy_state, dict)  # noqa: S101 - what legacy=False promises
        return cls(
            random.getstate(),
            numpy_state,
            torch.get_rng_state(),
            torch.cuda.get_rng_state_all() if _cuda_is_in_use() else (),
        )

    def restore(self) -> None:
        """Draw from here on what would have been drawn after `capture`."""
        random.setstate(self.python)
        np.random.set_state(self.numpy)  # noqa: NPY002 - as above
        torch.set_rng_state(self.torch_cpu)
        if self.torch_cuda:
            torch.cuda.set_rng_state_all(self.torch_cuda)


def _cuda_is_in_use() -> bool:
    return bool(torch.cuda.is_initialized())  # type: ignore[no-untyped-call]
