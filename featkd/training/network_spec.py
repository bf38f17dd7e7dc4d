"""Settings of training that every network has."""

from typing import Annotated, Literal

from pydantic import Field

from featkd.training.optimiser import OptimiserSpec
from featkd.types import Spec


class NetworkTrainingSpec(Spec):
    """How a network is trained."""

    num_epochs: Annotated[int, Field(ge=1)] = 200
    """Epochs; each shows one view of every clip."""
    batch_size: Annotated[int, Field(ge=1)] = 6
    """Clips a step; an incomplete last batch is left out."""
    optimiser: OptimiserSpec = OptimiserSpec()
    """Moves the network and the distiller's own modules."""
    generator_optimiser: OptimiserSpec = OptimiserSpec(
        kind="adam", learning_rate=1e-4, momentum=0.8, weight_decay=0.0
    )
    """Moves the student's CVAEs, where the distiller has some."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Autocast of the network; losses are float32 in any case."""
