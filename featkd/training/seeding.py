"""Seeds.

Every epoch starts from a state that depends on (seed, epoch) alone, so a resumed run draws what an
uninterrupted one would have drawn.
"""

import random

import numpy as np
import torch


def seed_everything(seed: int, epoch: int = 0) -> None:
    """Set the generators of Python, NumPy and torch from (seed, epoch)."""
    mixed = int(np.random.SeedSequence([seed, epoch]).generate_state(1)[0])
    random.seed(mixed)
    np.random.seed(mixed)  # noqa: NPY002 - libraries may draw from the global generator
    torch.manual_seed(mixed)
