"""The contract of distillers for detection."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field

from jaxtyping import Float
from torch import Tensor, nn

from featkd.detection.afsd.boundary_loss import consistency_loss
from featkd.detection.afsd.losses import DetectionLossSpec, detection_terms
from featkd.detection.afsd.output import BoundaryFeatures, DetectorOutput
from featkd.detection.afsd.targets import Assignment
from featkd.detection.distillation.signal import DetectionSignal
from featkd.distillers import LossTerm, LossTerms


@dataclass(frozen=True, slots=True)
class Rearranged:
    """What a network and its teacher say about rearranged clips.

    Attributes:
        boundaries: the network's, with gradients.
        segments: (B, 3, 2), first part, second part and background of each, in frames.
        attention: layer to the network's attention, with gradients; empty without heads.
        teacher_attention: layer to the teacher's; empty without one.
    """

    boundaries: BoundaryFeatures
    segments: Float[Tensor, "batch 3 2"]
    attention: Mapping[str, Tensor] = field(default_factory=dict)
    teacher_attention: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DetectionTargets:
    """What the network should say about a batch.

    Attributes:
        assignment: the action each prior is to find.
        maps: (B, 2, frames), frames around starts and ends.
        rearranged: clips of the batch that could be rearranged; None where none could.
    """

    assignment: Assignment
    maps: Float[Tensor, "batch 2 frames"]
    rearranged: Rearranged | None = None


def supervised_terms(
    student: DetectorOutput, targets: DetectionTargets, spec: DetectionLossSpec
) -> tuple[LossTerm, ...]:
    """The terms that learn from annotations alone: `detection_terms`, and ``consistency``."""
    terms = tuple(detection_terms(student.detections, targets.assignment, targets.maps, spec))
    if targets.rearranged is None or spec.consistency_weight == 0:
        return terms
    value = consistency_loss(targets.rearranged.boundaries, targets.rearranged.segments)
    return (*terms, LossTerm("consistency", spec.consistency_weight, value))


class DetectionDistiller(ABC):
    """Turns what a student detector computed and what the teacher says into a loss.

    Attributes:
        losses: weights of the terms that learn from annotations.
        modules: its own trainable parts, for the student's optimiser and the checkpoint.
    """

    def __init__(self, losses: DetectionLossSpec) -> None:
        """Keep the weights; own parts are added by those who have some."""
        self.losses = losses
        self.modules = nn.ModuleDict()

    @property
    def compares_boundaries(self) -> bool:
        """Whether rearranged clips are wanted: `consistency_loss` is among the terms."""
        return self.losses.consistency_weight > 0

    @abstractmethod
    def __call__(
        self,
        student: DetectorOutput,
        teacher: DetectionSignal,
        targets: DetectionTargets,
        epoch: int,
    ) -> LossTerms:
        """Compute the loss of a batch.

        Args:
            student: with gradients.
            teacher: for the same clips, row by row.
            targets: for the same clips.
            epoch: counted from 1; ramps depend on it.

        Raises:
            RequirementError: the signal lacks something.
            ModelError: the student does.
        """


class DetectorAlone(DetectionDistiller):
    """A detector that nobody teaches: a teacher, or a student as the baseline."""

    def __call__(
        self,
        student: DetectorOutput,
        teacher: DetectionSignal,  # noqa: ARG002 (the contract passes it)
        targets: DetectionTargets,
        epoch: int,  # noqa: ARG002
    ) -> LossTerms:
        """Compute `supervised_terms`."""
        return LossTerms(supervised_terms(student, targets, self.losses))
