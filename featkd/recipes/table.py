"""Tables of experiments: which students are trained, and what was published about them."""

from importlib import resources
from typing import Annotated, Literal

import numpy as np
import yaml
from pydantic import Field, TypeAdapter, ValidationError, model_validator

from featkd.distillers import DistillerConfig, DistillerSpec
from featkd.errors import RecipeError
from featkd.recipes.base_recipe import RunName
from featkd.types import Spec

ModelName = Literal["i3d", "top_i3d", "bottom_i3d", "i2d"]


class WeightSearch(Spec):
    """Which weight of a distiller is searched, and among which values."""

    key: str
    """The setting, dots between levels: ``kd_weight``, ``parts.lskd.kd_weight``."""
    values: Annotated[tuple[float, ...], Field(min_length=2)]
    """Tried on the validation split; a tie goes to the smaller."""


class RowSpec(Spec):
    """One student of a table."""

    label: str
    """What the table calls it."""
    distiller: DistillerSpec
    """Settings; the weights are those of its paper."""
    model: ModelName | None = None
    """Architecture, where it is not the recipe's student."""
    baseline: RunName | None = "none"
    """The row it is compared with; None for a baseline itself."""
    search: WeightSearch | None = None
    """How its weight is chosen where papers' weights mean nothing."""
    published: dict[str, float] = Field(default_factory=dict)
    """Top-1 in percent by recipe, as the generative paper prints it."""
    published_gmac: float | None = None

    @model_validator(mode="after")
    def _searched_setting_exists(self) -> "RowSpec":
        if self.search is not None:
            for value in self.search.values:
                with_setting(self.distiller, self.search.key, value)
        return self


class TableSpec(Spec):
    """A table or figure of the paper: rows, and the recipes it is made with at either scale."""

    name: RunName
    title: str
    full: tuple[str, ...]
    """Shipped recipes at full size."""
    mini: tuple[str, ...]
    """Shipped recipes that a CPU runs in minutes to hours."""
    rows: Annotated[dict[RunName, RowSpec], Field(min_length=1)]
    """By the name of their run."""

    @model_validator(mode="after")
    def _baselines_are_rows(self) -> "TableSpec":
        for name, row in self.rows.items():
            if row.baseline is not None and row.baseline not in self.rows:
                raise ValueError(
                    f"rows.{name}.baseline is {row.baseline!r}; expected one of "
                    f"{', '.join(self.rows)}"
                )
        return self


def with_setting(config: DistillerConfig, key: str, value: float) -> DistillerConfig:
    """The same settings with one of them replaced.

    Args:
        config: settings.
        key: dots between levels.
        value: new value.

    Raises:
        ValueError: there is no such setting, or the value does not suit it.
    """
    content = config.model_dump(mode="json")
    place: object = content
    *levels, last = key.split(".")
    for level in levels:
        place = place.get(level) if isinstance(place, dict) else None
    if not isinstance(place, dict) or last not in place:
        raise ValueError(f"distiller {config.kind!r} has no setting {key!r}")
    place[last] = value
    changed: DistillerConfig = TypeAdapter(DistillerSpec).validate_python(content)
    return changed


def candidate_name(row: str, value: float) -> str:
    """Name of the run that tries a value: ``kd+0.32``."""
    return f"{row}+{np.format_float_positional(value, trim='-')}"


def shipped_tables() -> dict[str, TableSpec]:
    """Every table that comes with featkd, by name."""
    folder = resources.files("featkd.recipes") / "tables"
    files = sorted((f for f in folder.iterdir() if f.name.endswith(".yaml")), key=lambda f: f.name)
    return {
        file.name.removesuffix(".yaml"): _parse(file.name, file.read_text("utf-8"))
        for file in files
    }


def load_table(name: str) -> TableSpec:
    """A shipped table.

    Raises:
        RecipeError: there is none of that name.
    """
    tables = shipped_tables()
    if name not in tables:
        raise RecipeError(f"{name!r} is not a table; expected one of {', '.join(tables)}")
    return tables[name]


def _parse(name: str, text: str) -> TableSpec:
    try:
        return TableSpec.model_validate(yaml.safe_load(text))
    except ValidationError as error:
        raise RecipeError(f"table {name}: {error}") from error
