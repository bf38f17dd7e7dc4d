"""FitNets: the student's map, regressed, equals the teacher's."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

from jaxtyping import Float, Int
from pydantic import NonNegativeFloat
from torch import Tensor, nn
from torch.nn import functional as F

from featkd.distillers.align import require_alignable
from featkd.distillers.base import Distiller, LossTerm, LossTerms, cross_entropy_term
from featkd.distillers.layer import LayerConfig, student_map, teacher_target
from featkd.distillers.requirements import Requirements, pick_student_layer, pick_tap
from featkd.distillers.shapes import Shapes
from featkd.errors import ModelError
from featkd.representation import full_precision
from featkd.types import StudentOutput, TapSpec, TeacherSignal


class FitNetsConfig(LayerConfig):
    """Settings of hint distillation.

    Images are usually taught at a middle layer. The maps of a video are many times as large there:
    kept at half precision, 5.2 MB a clip for ``Mixed_4f`` and 0.8 MB for ``Mixed_5c``.
    """

    aliases = ("hint", "fitnet")

    kind: Literal["fitnets"] = "fitnets"
    weight: NonNegativeFloat = 100.0
    """Weight of the hint beside the cross entropy."""
    ce_weight: NonNegativeFloat = 1.0

    @property
    def tap(self) -> TapSpec:
        """The teacher's hint."""
        return self.tap_of("full")

    @property
    def requires(self) -> Requirements:
        """The teacher's full map and the student's."""
        return Requirements(taps=(self.tap,), student_layers=(self.layer,))


class FitNets(Distiller[FitNetsConfig]):
    """``CE + weight * mean (r(F_s) - F_t)^2`` with a regressor r that is trained along.

    FitNets: Hints for Thin Deep Nets (Romero et al., ICLR 2015), Eq. 3, in the form in which later
    work trains it: hint and labels together, means instead of sums. The regressor ends in ReLU, so
    the teacher's layer has to as well.
    """

    def __init__(self, config: FitNetsConfig, shapes: Shapes) -> None:
        """Build the distiller and its regressor.

        Raises:
            ModelError: The student lacks the layer, or no convolution gives the teacher's size.
            RequirementError: The signal lacks the tap.
        """
        super().__init__(config)
        self.modules["regressor"] = Regressor(
            pick_student_layer(shapes.student_features, config.layer),
            pick_tap(shapes.teacher_features, config.tap),
        )

    def __call__(
        self,
        student: StudentOutput,
        teacher: TeacherSignal,
        labels: Int[Tensor, " batch"],
        epoch: int,  # noqa: ARG002 (the contract passes it)
    ) -> LossTerms:
        """Compute ``cross_entropy`` and ``hint``."""
        config = self.config
        regressed = self.modules["regressor"](student_map(student.features, config.layer))
        hint = hint_regression_loss(regressed, teacher_target(teacher.features, config.tap))
        return LossTerms(
            (
                cross_entropy_term(student, labels, config.ce_weight),
                LossTerm("hint", config.weight, hint),
            )
        )


class Regressor(nn.Module):
    """Convolution, batch norm, ReLU: from a student's map to the shape of a teacher's.

    The kernel follows from the sizes, axis by axis: 1 where they are equal; 3 with stride 2 where
    the student's is twice the teacher's; transposed, 4 with stride 2, where it is half of it; and
    otherwise one that cuts the student's down without padding.
    """

    def __init__(self, student: Sequence[int], teacher: Sequence[int]) -> None:
        """Build the convolution.

        Args:
            student: (C, T, H, W) of the student's map.
            teacher: (C, T, H, W) of the teacher's.

        Raises:
            ModelError: The student's map is smaller than the teacher's in a way that is not half,
                or is smaller along one axis and larger along another; names both shapes.
        """
        super().__init__()
        student, teacher = tuple(student), tuple(teacher)
        require_alignable("fitnets", student, teacher)
        axes = [_fit_axis(*sizes) for sizes in zip(student[1:], teacher[1:], strict=True)]
        grows = any(axis is _DOUBLED for axis in axes)
        if None in axes or (grows and any(axis not in (_DOUBLED, _EQUAL) for axis in axes)):
            raise ModelError(
                f"fitnets: no regressor maps the student's shape {student} to the teacher's "
                f"{teacher}; expected T, H, W equal or larger than the teacher's, or equal or half"
            )
        kernel, stride, padding = zip(*(axis for axis in axes if axis), strict=True)
        convolution = nn.ConvTranspose3d if grows else nn.Conv3d
        self.convolution = convolution(student[0], teacher[0], kernel, stride, padding)
        self.norm = nn.BatchNorm3d(teacher[0])

    def forward(
        self, x: Float[Tensor, "batch channels time height width"]
    ) -> Float[Tensor, "batch teacher_channels teacher_time teacher_height teacher_width"]:
        """Regress."""
        return F.relu(self.norm(self.convolution(x)))


def hint_regression_loss(
    student: Float[Tensor, "batch channels time height width"],
    teacher: Float[Tensor, "batch channels time height width"],
) -> Float[Tensor, ""]:
    """Compute the mean squared difference of maps of one shape.

    Args:
        student: Regressed, or as it is where the shapes agree.
        teacher: No gradient flows to it.
    """
    return F.mse_loss(full_precision(student), full_precision(teacher.detach()))


class _Axis(NamedTuple):
    kernel: int
    stride: int
    padding: int


_EQUAL = _Axis(kernel=1, stride=1, padding=0)
_HALVED = _Axis(kernel=3, stride=2, padding=1)
_DOUBLED = _Axis(kernel=4, stride=2, padding=1)


def _fit_axis(student: int, teacher: int) -> _Axis | None:
    """How a convolution gets from one size to another; None where it does not."""
    if student == teacher:
        return _EQUAL
    if student == 2 * teacher:
        return _HALVED
    if 2 * student == teacher:
        return _DOUBLED
    return _Axis(1 + student - teacher, 1, 0) if student > teacher else None
