"""A run folder: what makes a run finished, and what must not be overwritten."""

from collections.abc import Mapping
from pathlib import Path

from featkd.errors import UsageError
from featkd.experiment.workspace import read_json, save_recipe, write_json
from featkd.recipes import BaseRecipe


def is_finished(folder: Path, settings: str) -> bool:
    """Whether the run is complete, so that there is nothing to do.

    Raises:
        UsageError: it is complete, but was made with other settings, or it holds weights that were
            put there by somebody.
    """
    summary = read_json(folder / "summary.json")
    if not summary:
        weights = folder / "model.safetensors"
        if weights.exists() and not (folder / "checkpoint.pt").exists():
            raise UsageError(
                f"{weights} was not trained here and would be overwritten; expected a folder "
                "without weights, so use these as they are or move them away"
            )
        return False
    if summary.get("settings") != settings:
        raise UsageError(
            f"{folder} holds a finished run with other settings (settings is "
            f"{str(summary.get('settings'))[:12]}, expected {settings[:12]}); compare its "
            "recipe.yaml with yours, then delete the folder or set another workdir"
        )
    return True


def begin(folder: Path, recipe: BaseRecipe) -> None:
    """Make the folder and put the resolved recipe in it."""
    folder.mkdir(parents=True, exist_ok=True)
    save_recipe(folder, recipe)


def finish(folder: Path, settings: str, summary: Mapping[str, object]) -> None:
    """Declare the run finished; its training state is no longer needed."""
    write_json(folder / "summary.json", {**summary, "settings": settings})
    (folder / "checkpoint.pt").unlink(missing_ok=True)
