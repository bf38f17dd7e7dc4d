"""The contract of distillers: a student's output and a teacher's signal in, loss terms out."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from featkd.distillers.requirements import Requirements
from featkd.types import StudentOutput, TeacherSignal


@dataclass(frozen=True, slots=True)
class LossTerm:
    """One addend of a loss.

    Attributes:
        name: What the metrics log calls it.
        weight: Its factor in this step, ramps included.
        value: The unweighted loss.
    """

    name: str
    weight: float
    value: Float[Tensor, ""]


@dataclass(frozen=True, slots=True)
class LossTerms:
    """The addends of a loss, in order. Iterating gives each `LossTerm`."""

    terms: tuple[LossTerm, ...]

    def __post_init__(self) -> None:
        names = [term.name for term in self.terms]
        if not names or len(set(names)) != len(names):
            raise ValueError(f"loss terms are named {names}; expected one or more, each once")

    def __iter__(self) -> Iterator[LossTerm]:
        return iter(self.terms)

    @property
    def total(self) -> Float[Tensor, ""]:
        """What is minimised: the weighted sum."""
        return torch.stack([term.weight * term.value for term in self.terms]).sum()

    def unweighted(self) -> dict[str, Tensor]:
        """Name to unweighted value, cut from the graph: for the log."""
        return {term.name: term.value.detach() for term in self.terms}


@runtime_checkable
class Distiller(Protocol):
    """Turns what a student computed and what the teacher says into a loss.

    It never sees a teacher, a file or a recipe.
    """

    @property
    def requires(self) -> Requirements:
        """What it needs of the signal and of the student; known from its settings alone."""

    @property
    def modules(self) -> nn.ModuleDict:
        """Its own trainable parts, for the student's optimiser and the checkpoint; often empty."""

    def __call__(
        self,
        student: StudentOutput,
        teacher: TeacherSignal,
        labels: Int[Tensor, " batch"],
        epoch: int,
    ) -> LossTerms:
        """Compute the loss of a batch.

        Args:
            student: With gradients.
            teacher: For the same views, row by row.
            labels: Class of each sample.
            epoch: Counted from 1; ramps depend on it.

        Raises:
            RequirementError: The signal lacks something of ``requires``.
            ModelError: The student does.
        """
