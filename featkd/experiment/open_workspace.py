"""The workspace of a recipe, whatever its task."""

from featkd.experiment.detection.workspace import DetectionWorkspace
from featkd.experiment.workspace import Workspace
from featkd.recipes import AnyRecipe, Recipe

AnyWorkspace = Workspace | DetectionWorkspace


def open_workspace(recipe: AnyRecipe) -> AnyWorkspace:
    """The workspace that goes with a recipe's task."""
    return Workspace(recipe) if isinstance(recipe, Recipe) else DetectionWorkspace(recipe)
