"""The distillers a recipe can name."""

from collections.abc import Callable
from typing import Annotated, Any, NamedTuple

from pydantic import Field

from featkd.distillers.at import AT, ATConfig
from featkd.distillers.base import Distiller
from featkd.distillers.generative import Generative, GenerativeConfig
from featkd.distillers.kd import KD, KDConfig
from featkd.distillers.none import StudentAlone, StudentAloneConfig
from featkd.distillers.shapes import Shapes
from featkd.types import Spec

DistillerSpec = Annotated[
    StudentAloneConfig | KDConfig | ATConfig | GenerativeConfig, Field(discriminator="kind")
]
"""Settings of any distiller, told apart by ``kind``: the type of a recipe's field."""


class Entry(NamedTuple):
    """A distiller and its settings."""

    config: type[Spec]
    distiller: Callable[[Any, Shapes], Distiller]


DISTILLERS: dict[str, Entry] = {
    "none": Entry(StudentAloneConfig, StudentAlone),
    "kd": Entry(KDConfig, KD),
    "at": Entry(ATConfig, AT),
    "generative": Entry(GenerativeConfig, Generative),
}


def build_distiller(config: DistillerSpec, shapes: Shapes) -> Distiller:
    """Build the distiller of a configuration.

    Args:
        config: Its settings.
        shapes: Of the student and the teacher signal it will meet.

    Raises:
        ModelError: The student lacks something, or shapes cannot be aligned.
        RequirementError: The teacher signal lacks something.
    """
    return DISTILLERS[config.kind].distiller(config, shapes)
