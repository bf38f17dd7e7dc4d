"""Tables of experiments on detection."""

from typing import Annotated, Literal

from pydantic import Field

from featkd.detection.distillation import DetectionDistillerSpec
from featkd.recipes.base_recipe import RunName
from featkd.recipes.base_table import BaseRowSpec, BaseTableSpec
from featkd.types import Spec

Percent = Annotated[float, Field(ge=0, le=100)]


class PublishedDetection(Spec):
    """Figures of a paper, in percent."""

    mean_average_precision: dict[str, Percent]
    """By tIoU threshold."""
    average: Percent
    """Over the thresholds, as printed."""


class DetectionRowSpec(BaseRowSpec):
    """One student detector of a table."""

    distiller: DetectionDistillerSpec
    """Settings; the weights are those of its paper."""
    published: PublishedDetection | None = None
    """As the generative paper prints it, on THUMOS14."""


class DetectionTableSpec(BaseTableSpec):
    """A table of detectors."""

    task: Literal["detection"]
    published_teacher: PublishedDetection | None = None
    """As the generative paper prints it, on THUMOS14."""
    rows: Annotated[dict[RunName, DetectionRowSpec], Field(min_length=1)]
    """By the name of their run."""
