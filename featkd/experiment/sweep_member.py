"""A student of a sweep: a distiller, a seed, and what its recipe says otherwise."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from featkd.errors import UsageError
from featkd.experiment.needs import distiller_requirements
from featkd.experiment.workspace import WorkspaceT
from featkd.recipes import override_recipe

_STUDENT = "student."


@dataclass(frozen=True, slots=True)
class Member:
    """One student of a sweep.

    Attributes:
        distiller: key of the recipe's ``distillers``.
        seed: of the student.
        overrides: changes to the recipe, ``key=value``: of the network and its training
            (``student.model.width=0.5``), or of this distiller (``distillers.kd.tau=2``).
    """

    distiller: str
    seed: int
    overrides: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Name of the run: the distiller with its overrides, ``kd+tau_2+model.width_0.5``."""
        return "+".join([self.distiller, *map(self._as_name, self.overrides)])

    def workspace(self, base: WorkspaceT) -> WorkspaceT:
        """The workspace in which this student is the distiller called `name`.

        With its recipe `featkd.experiment.distill` trains the very same student.

        Raises:
            UsageError: the recipe has no such distiller, or an override changes more than this
                student.
            RecipeError: an override has an unknown key or a wrong value.
        """
        distiller_requirements(base.recipe, self.distiller)
        for override in self.overrides:
            if not override.startswith((_STUDENT, self._own_section)):
                raise UsageError(
                    f"{override!r} of student {self.distiller!r}: students of a sweep share "
                    "manifest, views and cache; expected a key below "
                    f"{_STUDENT}* or {self._own_section}*"
                )
        if not self.overrides:
            return base
        recipe = override_recipe(base.recipe, self.overrides)
        distillers = {**base.recipe.distillers, self.name: recipe.distillers[self.distiller]}
        return base.with_students(recipe.model_copy(update={"distillers": distillers}))

    @property
    def _own_section(self) -> str:
        return f"distillers.{self.distiller}."

    def _as_name(self, override: str) -> str:
        key, _, value = override.partition("=")
        key = key.removeprefix(self._own_section).removeprefix(_STUDENT)
        value = re.sub(r"[^A-Za-z0-9_.+]+", "_", value).strip("_")
        return f"{key}_{value}"


def vary(
    distillers: Sequence[str], seeds: Sequence[int], values: Mapping[str, Sequence[object]]
) -> list[Member]:
    """Every combination of distillers, seeds and values.

    A key below ``distillers.<name>.`` varies that distiller alone; any other varies all.

    Args:
        distillers: keys of the recipe's ``distillers``.
        seeds: of students.
        values: by key of the recipe.

    Raises:
        UsageError: a key varies none of the distillers.
    """
    for key in values:
        if not any(_varies(key, distiller) for distiller in distillers):
            raise UsageError(
                f"{key} is varied, but belongs to none of {', '.join(distillers)}; expected the "
                "key of one of them"
            )
    return [
        Member(distiller, seed, overrides)
        for seed in dict.fromkeys(seeds)
        for distiller in dict.fromkeys(distillers)
        for overrides in _combinations(distiller, values)
    ]


def _combinations(
    distiller: str, values: Mapping[str, Sequence[object]]
) -> Iterator[tuple[str, ...]]:
    keys = [key for key in values if _varies(key, distiller)]
    for chosen in product(*(values[key] for key in keys)):
        yield tuple(f"{key}={json.dumps(value)}" for key, value in zip(keys, chosen, strict=True))


def _varies(key: str, distiller: str) -> bool:
    return not key.startswith("distillers.") or key.startswith(f"distillers.{distiller}.")
