"""Recipes: one YAML file an experiment, validated."""

from featkd.recipes.load import dump_recipe, load_recipe, override_recipe, shipped_recipes
from featkd.recipes.recipe import Recipe
from featkd.recipes.weights_section import WeightsSection

__all__ = [
    "Recipe",
    "WeightsSection",
    "dump_recipe",
    "load_recipe",
    "override_recipe",
    "shipped_recipes",
]
