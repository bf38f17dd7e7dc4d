"""Recipes from YAML: defaults, then the file, then ``--set key=value``."""

from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import ValidationError

from featkd.errors import RecipeError
from featkd.recipes.base_recipe import BaseRecipe
from featkd.recipes.detection_recipe import DetectionRecipe
from featkd.recipes.recipe import Recipe


def shipped_recipes() -> dict[str, str]:
    """Text of every recipe that comes with featkd, by name."""
    folder = resources.files("featkd.recipes")
    files = sorted((f for f in folder.iterdir() if f.name.endswith(".yaml")), key=lambda f: f.name)
    return {file.name.removesuffix(".yaml"): file.read_text("utf-8") for file in files}


AnyRecipe = Recipe | DetectionRecipe
"""A recipe of any task."""

RecipeT = TypeVar("RecipeT", bound=BaseRecipe)


def load_recipe(source: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe for classification; arguments and errors as for `load_any_recipe`.

    Raises:
        RecipeError: besides, it is of another task.
    """
    recipe = load_any_recipe(source, overrides)
    if not isinstance(recipe, Recipe):
        raise RecipeError(
            f"{source}: task is {recipe.task!r}, which this command does not serve; expected a "
            "recipe for classification"
        )
    return recipe


def load_any_recipe(source: str | Path, overrides: Sequence[str] = ()) -> AnyRecipe:
    """Read a recipe of any task.

    Args:
        source: a YAML file, or the name of a shipped recipe.
        overrides: ``key=value`` with dots between levels, ``student.model.width=0.5``; the value is
            read as YAML.

    Raises:
        RecipeError: no such file or recipe, not YAML, unknown key, wrong value.
    """
    text = _read(source)
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise RecipeError(f"{source} is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise RecipeError(
            f"{source} holds {type(content).__name__}; expected a mapping with the keys of a recipe"
        )
    if content.get("task") == "detection":
        return _validated(DetectionRecipe, content, overrides, str(source))
    return _validated(Recipe, content, overrides, str(source))


def override_recipe(recipe: RecipeT, overrides: Sequence[str]) -> RecipeT:
    """A recipe with some values changed.

    Args:
        recipe: stays as it is.
        overrides: as for `load_recipe`.

    Raises:
        RecipeError: unknown key, wrong value.
    """
    name = f"recipe {recipe.name!r}"
    return _validated(type(recipe), recipe.model_dump(mode="json"), overrides, name)


def dump_recipe(recipe: BaseRecipe) -> str:
    """The resolved recipe as YAML; reading it back gives an equal recipe."""
    return yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def _validated(
    kind: type[RecipeT], content: dict[str, Any], overrides: Sequence[str], source: str
) -> RecipeT:
    for override in overrides:
        _apply(content, override)
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        raise RecipeError(f"{source}: {_explain(error)}") from error


def _read(source: str | Path) -> str:
    path = Path(source)
    shipped = shipped_recipes()
    if path.is_dir() and str(source) not in shipped:
        raise RecipeError(f"{path} is a directory; expected a recipe in a YAML file")
    if path.is_file():
        try:
            return path.read_text("utf-8")
        except UnicodeDecodeError as error:
            raise RecipeError(f"{path} is not UTF-8 text; expected a recipe in YAML") from error
    if str(source) in shipped:
        return shipped[str(source)]
    raise RecipeError(
        f"{source} is neither a file nor a shipped recipe; shipped are {', '.join(shipped)}"
    )


def _apply(content: dict[str, Any], override: str) -> None:
    key, equals, value = override.partition("=")
    levels = key.strip().split(".")
    if not equals or not all(levels):
        raise RecipeError(f"--set {override!r}: expected key=value, for example seed=3")
    try:
        parsed = yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise RecipeError(f"--set {override!r}: the value is not YAML") from error
    place: Any = content
    for level in levels[:-1]:
        if place.get(level) is None:
            place[level] = {}
        place = place[level]
        if not isinstance(place, dict):
            raise RecipeError(f"--set {override!r}: {level!r} is a value; it has no keys below it")
    place[levels[-1]] = parsed


def _explain(error: ValidationError) -> str:
    sentences = []
    for problem in error.errors():
        # A level in brackets says which kind of network was meant; no key is called that.
        levels = [str(level) for level in problem["loc"] if not str(level).startswith("(")]
        where = ".".join(levels) or "the recipe"
        if problem["type"] == "extra_forbidden":
            sentences.append(f"{where} is an unknown key; expected one the schema names")
        elif problem["type"] == "missing":
            sentences.append(f"{where} is missing")
        else:
            message = problem["msg"].removeprefix("Value error, ")
            sentences.append(f"{where} is {_shorten(problem['input'])}: {message}")
    return "; ".join(sentences)


def _shorten(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
