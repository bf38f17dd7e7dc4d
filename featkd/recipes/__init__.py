"""Recipes: one YAML file an experiment, validated."""

from featkd.recipes.base_recipe import BaseRecipe
from featkd.recipes.detection_recipe import DetectionRecipe
from featkd.recipes.load import (
    AnyRecipe,
    dump_recipe,
    load_any_recipe,
    load_recipe,
    override_recipe,
    shipped_recipes,
)
from featkd.recipes.recipe import Recipe
from featkd.recipes.weights_section import WeightsSection

__all__ = [
    "AnyRecipe",
    "BaseRecipe",
    "DetectionRecipe",
    "Recipe",
    "WeightsSection",
    "dump_recipe",
    "load_any_recipe",
    "load_recipe",
    "override_recipe",
    "shipped_recipes",
]
