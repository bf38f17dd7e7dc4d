"""Bringing student and teacher tensors to one shape: the only place that does it.

Along time and space the larger of the two is average-pooled to the smaller, each axis on its own;
nothing is ever stretched. Where channels differ, a learned 1x1x1 projection maps the student's to
the teacher's.
"""

from torch import Tensor, nn
from torch.nn import functional as F

from featkd.errors import ModelError


def require_alignable(what: str, student: tuple[int, ...], teacher: tuple[int, ...]) -> None:
    """Check that two shapes have the same axes and no empty one.

    Args:
        what: What the shapes belong to, for the message.
        student: Shape of one sample.
        teacher: Shape of one sample.

    Raises:
        ModelError: They cannot be aligned; names both.
    """
    if len(student) != len(teacher) or min(*student, *teacher) < 1:
        raise ModelError(
            f"{what}: the student's shape {student} and the teacher's {teacher} cannot be aligned; "
            "expected the same axes with at least one element each"
        )


def pool_to_common_size(student: Tensor, teacher: Tensor, axes: int) -> tuple[Tensor, Tensor]:
    """Average-pool the last ``axes`` axes of both to the smaller size of each.

    Args:
        student: Any leading axes, then 1 to 3 axes of time and space.
        teacher: The same.
        axes: How many of the last axes are time and space.

    Returns:
        Both, equal along those axes. What already fits is returned as it is.
    """
    sizes = zip(student.shape[-axes:], teacher.shape[-axes:], strict=True)
    common = tuple(min(pair) for pair in sizes)
    return _pool(student, common), _pool(teacher, common)


class Aligner(nn.Module):
    """Aligns tensors with channels: maps (B, C, T, H, W) or attention (B, C, T)."""

    def __init__(self, what: str, student: tuple[int, ...], teacher: tuple[int, ...]) -> None:
        """Build the projection if one is needed.

        Args:
            what: What is aligned, for messages.
            student: Shape of one sample, channels first.
            teacher: The same.

        Raises:
            ModelError: The shapes cannot be aligned; names both.
        """
        super().__init__()
        require_alignable(what, student, teacher)
        self.what = what
        self.projector: nn.Module = nn.Identity()
        if student[0] != teacher[0]:
            convolution = {2: nn.Conv1d, 4: nn.Conv3d}[len(student)]
            self.projector = convolution(student[0], teacher[0], kernel_size=1)

    def forward(self, student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
        """Bring both to one shape.

        Raises:
            ModelError: They still differ, because they are not what the aligner was built for.
        """
        # Pooling and a 1x1x1 projection commute; pooling first is the cheaper order.
        pooled, target = pool_to_common_size(student, teacher, axes=student.ndim - 2)
        projected = self.projector(pooled)
        if projected.shape != target.shape:
            raise ModelError(
                f"{self.what}: the student's shape {tuple(student.shape)} and the teacher's "
                f"{tuple(teacher.shape)} do not align to one shape"
            )
        return projected, target


def _pool(tensor: Tensor, size: tuple[int, ...]) -> Tensor:
    if tuple(tensor.shape[-len(size) :]) == size:
        return tensor
    # One three-dimensional pooling serves every case; missing axes count 1.
    leading, own = tensor.shape[: -len(size)], tensor.shape[-len(size) :]
    missing = (1,) * (3 - len(size))
    time, height, width = (*size, *missing)
    volume = tensor.reshape(-1, 1, *own, *missing)
    return F.adaptive_avg_pool3d(volume, (time, height, width)).reshape(*leading, *size)
