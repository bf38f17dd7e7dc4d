"""A student that starts from its teacher: equal layers copied, temporal kernels fitted."""

from collections.abc import Mapping
from typing import Literal, NamedTuple

from torch import Tensor, nn

from featkd.errors import ModelError

Transfer = Literal["copied", "collapsed", "inflated", "fresh"]


class LayerTransfer(NamedTuple):
    """What a tensor of the student started from.

    Attributes:
        name: in both networks.
        how: ``copied``; ``collapsed``, a kernel summed over time; ``inflated``, one frame's kernel
            repeated and divided by the extent; ``fresh``, as it was initialised.
        shape: in the student.
        teacher_shape: in the teacher; None where it has none of that name.
    """

    name: str
    how: Transfer
    shape: tuple[int, ...]
    teacher_shape: tuple[int, ...] | None


def start_from(network: nn.Module, teacher: Mapping[str, Tensor]) -> list[LayerTransfer]:
    """Take over what fits of a teacher, layer by layer.

    Names decide which tensors belong together. A convolution whose kernels agree but for the extent
    in time is fitted: collapsed where the student's is 1, inflated where the teacher's is 1
    (Carreira and Zisserman, CVPR 2017, section 3). Either gives the same answer as before to a clip
    in which nothing moves, away from its first and last frames. The layers of a module (kernel,
    normalisation) are taken over together or not at all.

    Args:
        network: the student; changed in place.
        teacher: the teacher's state dictionary.

    Returns:
        What became of each tensor, in the student's order.

    Raises:
        ModelError: nothing fits.
    """
    own = network.state_dict()
    taken = {name: _fit(own[name], teacher[name]) for name in own if name in teacher}
    unfit = {_unit(name) for name in own if taken.get(name) is None}
    report = []
    state = {}
    for name, tensor in own.items():
        fitted = taken.get(name)
        theirs = tuple(teacher[name].shape) if name in teacher else None
        how: Transfer = "fresh"
        if fitted is not None and _unit(name) not in unfit:
            how, state[name] = fitted
        report.append(LayerTransfer(name, how, tuple(tensor.shape), theirs))
    if not state:
        raise ModelError(
            f"the student has layers such as {next(iter(own), 'none')} and the teacher "
            f"{next(iter(teacher), 'none')}, of which none fit; expected networks of one family "
            "and width"
        )
    network.load_state_dict(state, strict=False)
    return report


def _fit(own: Tensor, theirs: Tensor) -> tuple[Transfer, Tensor] | None:
    if own.shape == theirs.shape:
        return "copied", theirs
    is_kernel = own.ndim == theirs.ndim == 5
    if not is_kernel or own.shape[:2] != theirs.shape[:2] or own.shape[3:] != theirs.shape[3:]:
        return None
    if own.shape[2] == 1:
        # A sum is rounded as its terms lie in memory, where a teacher that runs has other strides.
        return "collapsed", theirs.contiguous().sum(dim=2, keepdim=True)
    if theirs.shape[2] == 1:
        return "inflated", theirs.expand_as(own) / own.shape[2]
    return None


def _unit(name: str) -> str:
    """A convolution with its normalisation: ``Mixed_3b.b0`` of ``Mixed_3b.b0.conv3d.weight``."""
    return name.rsplit(".", 2)[0]
