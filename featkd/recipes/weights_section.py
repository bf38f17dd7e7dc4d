"""Weights from elsewhere, as a recipe names them."""

from pathlib import Path
from typing import Literal

from pydantic import model_validator

from featkd.types import Spec


class WeightsSection(Spec):
    """Where a network's weights come from, if not from training here. A path alone will do."""

    file: Path
    """State dictionary (.pt, .pth, .safetensors), network that featkd saved, or folder of a Hugging
    Face model. Always local: nothing is downloaded."""
    classifier: Literal["keep", "replace"] = "keep"
    """``keep``: everything has to fit, the number of classes too, and a teacher is used as it is.
    ``replace``: a new classifier takes the place of theirs, and the network has to be trained."""

    @model_validator(mode="before")
    @classmethod
    def _path_alone(cls, value: object) -> object:
        return {"file": value} if isinstance(value, str | Path) else value
