"""From a recipe's distillers to what the teacher must hand over."""

from functools import reduce
from operator import or_

from featkd.distillers import Requirements
from featkd.errors import UsageError
from featkd.recipes import AnyRecipe
from featkd.types import TapSpec


def joint_requirements(recipe: AnyRecipe) -> Requirements:
    """What all distillers of a recipe need together."""
    return reduce(or_, (config.requires for config in recipe.distillers.values()), Requirements())


def distiller_requirements(recipe: AnyRecipe, name: str) -> Requirements:
    """What one distiller needs.

    Raises:
        UsageError: the recipe has no distiller of that name.
    """
    if name not in recipe.distillers:
        raise UsageError(
            f"distiller {name!r} is not in recipe {recipe.name!r}; "
            f"it has {', '.join(recipe.distillers)}"
        )
    return recipe.distillers[name].requires


def taps_to_extract(recipe: AnyRecipe) -> tuple[TapSpec, ...]:
    """The least set of taps that serves every distiller, plus those the recipe asks for.

    A distiller that needs the teacher's attention or a frozen module needs the representation, and
    the representation is learned from the full maps of its layers.
    """
    needs = joint_requirements(recipe)
    taps = {*needs.taps, *(TapSpec.parse(key) for key in recipe.extract.taps)}
    if needs.attention_layers or needs.modules:
        taps |= {TapSpec(layer, "full") for layer in recipe.representation.layers}
    return tuple(sorted(taps))
