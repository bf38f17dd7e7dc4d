"""Settings of training for detection."""

from typing import Annotated

from pydantic import Field, PositiveFloat

from featkd.detection.afsd import DETECTOR_LAYERS
from featkd.training.network_spec import NetworkTrainingSpec
from featkd.training.optimiser import OptimiserSpec
from featkd.training.representation import AttentionTrainingSpec


class DetectorTrainingSpec(NetworkTrainingSpec):
    """How a detector is trained; the defaults are those published for RGB on THUMOS14."""

    num_epochs: Annotated[int, Field(ge=1)] = 16
    """Epochs; each shows one view of every window."""
    batch_size: Annotated[int, Field(ge=1)] = 1
    """Windows a step; an incomplete last batch is left out."""
    optimiser: OptimiserSpec = OptimiserSpec(kind="adam", learning_rate=1e-5, weight_decay=1e-3)
    """Moves the network and the distiller's own modules."""


class DetectorRepresentationSpec(AttentionTrainingSpec):
    """How the teacher's attention heads and CVAEs are trained, for each map a detector reads."""

    reconstruction_weight: PositiveFloat = 0.5
    """Weight of the prior reconstruction of each layer in the attention step, after its ramp."""

    @property
    def layers(self) -> tuple[str, ...]:
        """Layers whose full maps are learned."""
        return DETECTOR_LAYERS
