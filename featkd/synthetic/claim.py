"""One folder holds one dataset: its settings lie beside its videos."""

from pathlib import Path

from pydantic import ValidationError

from featkd.durable import replace_file
from featkd.errors import UsageError
from featkd.types import Spec

SPEC_FILE = "spec.json"


def claim_folder(spec: Spec, folder: Path) -> None:
    """Record the settings in a new folder, or compare them with those of a used one.

    Args:
        spec: what the folder is to hold.
        folder: made if it does not exist.

    Raises:
        UsageError: the folder was made with other settings, or its ``spec.json`` is damaged.
    """
    path = folder / SPEC_FILE
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        replace_file(path, (spec.model_dump_json(indent=2) + "\n").encode())
        return
    try:
        found = type(spec).model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise UsageError(f"{path}: not the settings of such a dataset: {error}") from error
    for field in type(spec).model_fields:
        old, new = getattr(found, field), getattr(spec, field)
        if old != new:
            raise UsageError(
                f"{path}: {field} of the dataset in this folder is {old!r}, but {new!r} was "
                "asked for; choose another folder"
            )
