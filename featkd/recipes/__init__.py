"""Recipes: one YAML file an experiment, validated."""

from featkd.recipes.load import dump_recipe, load_recipe, override_recipe, shipped_recipes
from featkd.recipes.recipe import Recipe

__all__ = ["Recipe", "dump_recipe", "load_recipe", "override_recipe", "shipped_recipes"]
