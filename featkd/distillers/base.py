"""The contract of distillers: a student's output and a teacher's signal in, loss terms out."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Generic, TypeVar

import torch
from jaxtyping import Float, Int
from pydantic import field_validator
from torch import Tensor, nn

from featkd.distillers.requirements import Requirements
from featkd.representation import cross_entropy
from featkd.types import Spec, StudentOutput, TeacherSignal

CROSS_ENTROPY = "cross_entropy"
"""Name of the term that learns from labels alone."""


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


def cross_entropy_term(
    student: StudentOutput, labels: Int[Tensor, " batch"], weight: float
) -> LossTerm:
    """The term that learns from labels alone, common to almost all distillers."""
    return LossTerm(CROSS_ENTROPY, weight, cross_entropy(student.logits, labels))


class DistillerConfig(Spec):
    """Base of the settings of a distiller.

    A recipe picks the distiller by ``kind``, its name or one of its aliases; either reads as the
    name.
    """

    aliases: ClassVar[tuple[str, ...]] = ()
    """Other names the method goes by in the field."""

    kind: str

    @field_validator("kind", mode="before")
    @classmethod
    def _kind_is_the_name(cls, value: object) -> object:
        return cls.name() if value in cls.aliases else value

    @classmethod
    def name(cls) -> str:
        """The distiller's name, the default of ``kind``."""
        default: str = cls.model_fields["kind"].default
        return default

    @property
    def requires(self) -> Requirements:
        """What the distiller needs; the base needs nothing."""
        return Requirements()


ConfigT = TypeVar("ConfigT", bound=DistillerConfig)


class Distiller(ABC, Generic[ConfigT]):
    """Turns what a student computed and what the teacher says into a loss.

    It never sees a teacher, a file or a recipe.

    Attributes:
        config: The settings.
        modules: Its own trainable parts, for the student's optimiser and the checkpoint; often
            empty.
    """

    def __init__(self, config: ConfigT) -> None:
        """Keep the settings; own parts are added by those who have some."""
        self.config = config
        self.modules = nn.ModuleDict()

    @property
    def requires(self) -> Requirements:
        """What it needs of the signal and of the student; known from its settings alone."""
        return self.config.requires

    @abstractmethod
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
