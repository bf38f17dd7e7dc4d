"""No distillation: the student alone, the baseline of every comparison."""

from typing import Literal

from jaxtyping import Int
from torch import Tensor, nn

from featkd.distillers.base import LossTerm, LossTerms
from featkd.distillers.requirements import Requirements
from featkd.distillers.shapes import Shapes
from featkd.representation import cross_entropy
from featkd.types import Spec, StudentOutput, TeacherSignal


class StudentAloneConfig(Spec):
    """Settings of the baseline: it has none."""

    kind: Literal["none"] = "none"

    @property
    def requires(self) -> Requirements:
        """Nothing."""
        return Requirements()


class StudentAlone:
    """Cross entropy with the labels; the teacher signal may be empty."""

    def __init__(self, config: StudentAloneConfig, shapes: Shapes) -> None:  # noqa: ARG002
        """Build the baseline; every shape is fine."""
        self.config = config
        self.modules = nn.ModuleDict()

    @property
    def requires(self) -> Requirements:
        """Nothing."""
        return self.config.requires

    def __call__(
        self,
        student: StudentOutput,
        teacher: TeacherSignal,  # noqa: ARG002 (the contract passes it)
        labels: Int[Tensor, " batch"],
        epoch: int,  # noqa: ARG002
    ) -> LossTerms:
        """Compute ``cross_entropy``."""
        return LossTerms((LossTerm("cross_entropy", 1.0, cross_entropy(student.logits, labels)),))
