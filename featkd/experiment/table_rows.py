"""Rows of a table: which are made, the recipe that serves them, their students."""

from collections.abc import Mapping, Sequence
from typing import TypeVar

from featkd.errors import UsageError
from featkd.experiment.student_pool import Student, train_students
from featkd.experiment.weight_search import FoundWeight, search_weights
from featkd.recipes import AnyRecipe, DetectionRecipe, Recipe
from featkd.recipes.base_table import BaseRowSpec, with_setting
from featkd.types import Progress

RecipeT = TypeVar("RecipeT", Recipe, DetectionRecipe)
RowT = TypeVar("RowT", bound=BaseRowSpec)


def choose_rows(table: str, rows: Mapping[str, RowT], names: Sequence[str]) -> dict[str, RowT]:
    """Some rows of a table and their baselines, in the table's order; all where none is named.

    Args:
        table: its name, for messages.
        rows: of the table, by name.
        names: of those that are wanted.

    Raises:
        UsageError: the table has no such row.
    """
    unknown = [name for name in names if name not in rows]
    if unknown:
        raise UsageError(
            f"table {table!r} has no row {', '.join(unknown)}; it has {', '.join(rows)}"
        )
    wanted = set(names or rows)
    wanted |= {row.baseline for name, row in rows.items() if name in wanted and row.baseline}
    return {name: row for name, row in rows.items() if name in wanted}


def with_rows(recipe: RecipeT, rows: Mapping[str, BaseRowSpec]) -> RecipeT:
    """The recipe with the rows' distillers instead of its own: what its cache has to serve."""
    distillers = {name: row.distiller for name, row in rows.items()}
    return recipe.model_copy(update={"distillers": distillers})


def train_rows(
    recipe: AnyRecipe,
    rows: Mapping[str, BaseRowSpec],
    seeds: Sequence[int],
    *,
    search_seeds: Sequence[int],
    num_processes: int,
    progress: Progress,
) -> dict[str, FoundWeight]:
    """Search the weights of rows, then train and measure their students on the test split.

    Args:
        recipe: its cache is complete for the distillers of the rows.
        rows: by name.
        seeds: of the students.
        search_seeds: of the search for weights on the validation split; none takes the weights of
            the rows.
        num_processes: students that are trained at once.
        progress: shows the work.

    Returns:
        What was found, by row; empty where nothing was searched.

    Raises:
        FeatkdError: as `train_students` and `search_weights`.
    """
    searches: dict[str, FoundWeight] = {}
    if search_seeds:
        searches = search_weights(
            recipe, rows, search_seeds, num_processes=num_processes, progress=progress
        )
    distillers = {
        name: with_setting(row.distiller, searches[name].key, searches[name].chosen)
        if name in searches
        else row.distiller
        for name, row in rows.items()
    }
    train_students(
        recipe.model_copy(update={"distillers": distillers}),
        [Student(name, seed) for seed in seeds for name in rows],
        split=recipe.data.test_split,
        num_processes=num_processes,
        progress=progress,
    )
    return searches
