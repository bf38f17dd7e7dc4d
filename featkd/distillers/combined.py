"""Several distillers at once, each with a weight: ``CE + sum of weight * what a part adds``."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

from jaxtyping import Int
from pydantic import Field, NonNegativeFloat, StringConstraints, model_validator
from torch import Tensor, nn

from featkd.distillers.base import (
    CROSS_ENTROPY,
    Distiller,
    DistillerConfig,
    LossTerm,
    LossTerms,
    cross_entropy_term,
)
from featkd.distillers.generative import Generative, GenerativeConfig
from featkd.distillers.registry import DISTILLERS, MethodSpec, any_of, build_method
from featkd.distillers.requirements import Requirements
from featkd.distillers.shapes import Shapes
from featkd.types import StudentOutput, TeacherSignal

PartName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_]+$")]
"""Names of parts become names of modules, which have no dots."""


class CombinedConfig(DistillerConfig):
    """Settings of a combination.

    Every part brings its own terms; its cross entropy is left out, and one cross entropy with
    ``ce_weight`` takes the place of all.
    """

    aliases = ("sum", "combination")

    kind: Literal["combined"] = "combined"
    parts: Annotated[dict[PartName, MethodSpec], Field(min_length=1)]
    """Settings of each part, by a name of your choice."""
    weights: dict[PartName, NonNegativeFloat] = Field(default_factory=dict)
    """Factors of the parts, beside the weights in their settings; default 1."""
    ce_weight: NonNegativeFloat = 1.0

    @model_validator(mode="after")
    def _parts_go_together(self) -> "CombinedConfig":
        unknown = sorted(set(self.weights) - set(self.parts))
        if unknown:
            raise ValueError(
                f"weights name {', '.join(unknown)}; expected names of parts "
                f"({', '.join(self.parts)})"
            )
        generative = [p for p in self.parts.values() if isinstance(p, GenerativeConfig)]
        if len(generative) > 1:
            raise ValueError("two parts are generative; expected at most one")
        if any(part.classifier_loss != "ce" for part in generative):
            raise ValueError(
                "a generative part has classifier_loss 'released'; expected 'ce', the one cross "
                "entropy of the combination"
            )
        projecting = [name for name, p in self.parts.items() if p.requires.student_projector]
        attending = [name for name, p in self.parts.items() if p.requires.student_attention]
        if len(projecting) + bool(attending) > 1:
            raise ValueError(
                f"parts {', '.join(projecting + attending)} each change what the student's "
                "classifier reads; expected one projector or one attention head"
            )
        return self

    @property
    def requires(self) -> Requirements:
        """What the parts need together."""
        needs = Requirements()
        for part in self.parts.values():
            needs = needs | part.requires
        return needs


class Combined(Distiller[CombinedConfig]):
    """A weighted sum of distillers.

    Attributes:
        parts: The distillers by name; their modules are kept apart under these names.
    """

    def __init__(self, config: CombinedConfig, shapes: Shapes) -> None:
        """Build every part.

        Raises:
            ModelError: As the parts do.
            RequirementError: As the parts do.
        """
        super().__init__(config)
        self.parts: Mapping[str, Distiller[Any]] = {
            name: build_method(part, shapes) for name, part in config.parts.items()
        }
        self.modules = nn.ModuleDict({name: part.modules for name, part in self.parts.items()})

    def __call__(
        self,
        student: StudentOutput,
        teacher: TeacherSignal,
        labels: Int[Tensor, " batch"],
        epoch: int,
    ) -> LossTerms:
        """Compute ``cross_entropy`` and ``<part>.<term>`` for every other term of every part."""
        terms = [cross_entropy_term(student, labels, self.config.ce_weight)]
        for name, part in self.parts.items():
            weight = self.config.weights.get(name, 1.0)
            terms += [
                LossTerm(f"{name}.{term.name}", weight * term.weight, term.value)
                for term in part(student, teacher, labels, epoch)
                if term.name != CROSS_ENTROPY
            ]
        return LossTerms(tuple(terms))


def generative_part(distiller: Distiller[Any]) -> Generative | None:
    """The part whose CVAE is trained in a phase of its own: the distiller itself, or one inside.

    None where there is no such part, or it does without a CVAE.
    """
    parts = distiller.parts.values() if isinstance(distiller, Combined) else [distiller]
    found = [p for p in parts if isinstance(p, Generative) and p.generator is not None]
    return found[0] if found else None


if TYPE_CHECKING:
    DistillerSpec = DistillerConfig
else:
    DistillerSpec = any_of([*(entry.config for entry in DISTILLERS.values()), CombinedConfig])
"""Settings of any distiller, told apart by ``kind``: the type of a recipe's field."""


def build_distiller(config: DistillerConfig, shapes: Shapes) -> Distiller[Any]:
    """Build the distiller of a configuration.

    Args:
        config: Its settings.
        shapes: Of the student and the teacher signal it will meet.

    Raises:
        ModelError: The student lacks something, or shapes cannot be aligned.
        RequirementError: The teacher signal lacks something.
    """
    if isinstance(config, CombinedConfig):
        return Combined(config, shapes)
    return build_method(config, shapes)
