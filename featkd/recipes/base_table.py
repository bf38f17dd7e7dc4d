"""What tables of any task say: rows, their baselines, and how their weights are searched."""

from collections.abc import Mapping
from typing import Annotated, TypeVar

import numpy as np
from pydantic import Field, model_validator

from featkd.recipes.base_recipe import RunName
from featkd.types import Spec

SpecT = TypeVar("SpecT", bound=Spec)


class WeightSearch(Spec):
    """Which weight of a distiller is searched, and among which values."""

    key: str
    """The setting, dots between levels: ``kd_weight``, ``parts.lskd.kd_weight``."""
    values: Annotated[tuple[float, ...], Field(min_length=2)]
    """Tried on the validation split; a tie goes to the smaller."""


class BaseRowSpec(Spec):
    """One student of a table."""

    label: str
    """What the table calls it."""
    distiller: Spec
    """Settings; the weights are those of its paper."""
    baseline: RunName | None = "none"
    """The row it is compared with; None for a baseline itself."""
    search: WeightSearch | None = None
    """How its weight is chosen where papers' weights mean nothing."""

    @model_validator(mode="after")
    def _searched_setting_exists(self) -> "BaseRowSpec":
        if self.search is not None:
            for value in self.search.values:
                with_setting(self.distiller, self.search.key, value)
        return self


class BaseTableSpec(Spec):
    """A table or figure of the paper: rows, and the recipes it is made with at either scale."""

    name: RunName
    title: str
    full: tuple[str, ...]
    """Shipped recipes at full size."""
    mini: tuple[str, ...]
    """Shipped recipes that a CPU runs in minutes to hours."""
    rows: Mapping[RunName, BaseRowSpec]
    """By the name of their run."""

    @model_validator(mode="after")
    def _baselines_are_rows(self) -> "BaseTableSpec":
        for name, row in self.rows.items():
            if row.baseline is not None and row.baseline not in self.rows:
                raise ValueError(
                    f"rows.{name}.baseline is {row.baseline!r}; expected one of "
                    f"{', '.join(self.rows)}"
                )
        return self


def with_setting(config: SpecT, key: str, value: float) -> SpecT:
    """The same settings with one of them replaced.

    Args:
        config: settings of a distiller.
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
        raise ValueError(f"distiller {content.get('kind')!r} has no setting {key!r}")
    place[last] = value
    return type(config).model_validate(content)


def candidate_name(row: str, value: float) -> str:
    """Name of the run that tries a value: ``kd+0.32``."""
    return f"{row}+{np.format_float_positional(value, trim='-')}"
