"""No distillation: the student alone, the baseline of every comparison."""

from typing import Literal

from jaxtyping import Int
from torch import Tensor

from featkd.distillers.base import Distiller, DistillerConfig, LossTerms, cross_entropy_term
from featkd.distillers.shapes import Shapes
from featkd.types import StudentOutput, TeacherSignal


class StudentAloneConfig(DistillerConfig):
    """Settings of the baseline: it has none."""

    aliases = ("ce", "baseline", "vanilla")

    kind: Literal["none"] = "none"


class StudentAlone(Distiller[StudentAloneConfig]):
    """Cross entropy with the labels; the teacher signal may be empty."""

    def __init__(self, config: StudentAloneConfig, shapes: Shapes) -> None:  # noqa: ARG002
        """Build the baseline; every shape is fine."""
        super().__init__(config)

    def __call__(
        self,
        student: StudentOutput,
        teacher: TeacherSignal,  # noqa: ARG002 (the contract passes it)
        labels: Int[Tensor, " batch"],
        epoch: int,  # noqa: ARG002
    ) -> LossTerms:
        """Compute ``cross_entropy``."""
        return LossTerms((cross_entropy_term(student, labels, 1.0),))
