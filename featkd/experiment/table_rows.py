"""Which rows of a table are made, and the recipe that serves them."""

from collections.abc import Mapping, Sequence
from typing import TypeVar

from featkd.errors import UsageError
from featkd.recipes import DetectionRecipe, Recipe
from featkd.recipes.base_table import BaseRowSpec

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
