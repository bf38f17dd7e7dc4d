"""Tables of experiments: which students are trained, and what was published about them."""

from importlib import resources
from typing import Annotated, Literal

import yaml
from pydantic import Field, ValidationError

from featkd.distillers import DistillerSpec
from featkd.errors import RecipeError
from featkd.recipes.base_recipe import RunName
from featkd.recipes.base_table import BaseRowSpec, BaseTableSpec
from featkd.recipes.detection_table import DetectionTableSpec

ModelName = Literal["i3d", "top_i3d", "bottom_i3d", "i2d"]


class RowSpec(BaseRowSpec):
    """One student of a table."""

    distiller: DistillerSpec
    """Settings; the weights are those of its paper."""
    model: ModelName | None = None
    """Architecture, where it is not the recipe's student."""
    published: dict[str, float] = Field(default_factory=dict)
    """Top-1 in percent by recipe, as the generative paper prints it."""
    published_gmac: float | None = None


class TableSpec(BaseTableSpec):
    """A table of classifiers."""

    task: Literal["classification"] = "classification"
    rows: Annotated[dict[RunName, RowSpec], Field(min_length=1)]
    """By the name of their run."""


AnyTableSpec = TableSpec | DetectionTableSpec
"""A table of any task."""


def shipped_tables() -> dict[str, AnyTableSpec]:
    """Every table that comes with featkd, by name."""
    folder = resources.files("featkd.recipes") / "tables"
    files = sorted((f for f in folder.iterdir() if f.name.endswith(".yaml")), key=lambda f: f.name)
    return {
        file.name.removesuffix(".yaml"): _parse(file.name, file.read_text("utf-8"))
        for file in files
    }


def load_table(name: str) -> AnyTableSpec:
    """A shipped table.

    Raises:
        RecipeError: there is none of that name.
    """
    tables = shipped_tables()
    if name not in tables:
        raise RecipeError(f"{name!r} is not a table; expected one of {', '.join(tables)}")
    return tables[name]


def _parse(name: str, text: str) -> AnyTableSpec:
    content = yaml.safe_load(text)
    kind = DetectionTableSpec if content.get("task") == "detection" else TableSpec
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        raise RecipeError(f"table {name}: {error}") from error
