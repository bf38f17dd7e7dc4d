"""Using a module without training it."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def frozen(module: nn.Module) -> Iterator[None]:
    """Compute through a module so that its parameters get no gradient but its inputs do.

    What is computed inside stays that way when it is differentiated later, outside.
    """
    trainable = [parameter for parameter in module.parameters() if parameter.requires_grad]
    for parameter in trainable:
        parameter.requires_grad_(False)  # noqa: FBT003 (torch takes it by position)
    try:
        yield
    finally:
        for parameter in trainable:
            parameter.requires_grad_(True)  # noqa: FBT003
