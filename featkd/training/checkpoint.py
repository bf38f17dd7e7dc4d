"""The state of a run between epochs, so that it can be stopped and taken up again."""

import io
import json
import pickle
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch

from featkd.durable import replace_file
from featkd.errors import CheckpointError

_FORMAT = "featkd-run/1"


@runtime_checkable
class Stateful(Protocol):
    """Modules and optimisers alike."""

    def state_dict(self) -> dict[str, Any]:
        """What to save."""

    def load_state_dict(self, state: dict[str, Any]) -> object:
        """Take up what was saved."""


def settings_digest(settings: Mapping[str, object]) -> str:
    """SHA-256 of JSON-able settings; a checkpoint serves only the settings it was made with."""
    return sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()


def save_checkpoint(
    path: Path, *, epoch: int, settings: str, parts: Mapping[str, Stateful]
) -> None:
    """Write the state after ``epoch`` finished epochs. The file appears whole or not at all."""
    state = {name: part.state_dict() for name, part in parts.items()}
    record = {"format": _FORMAT, "epoch": epoch, "settings": settings, "state": state}
    # Through memory, because torch reports a full disk as an internal error.
    content = io.BytesIO()
    torch.save(record, content)
    replace_file(path, content.getvalue())


def load_checkpoint(path: Path, *, settings: str, parts: Mapping[str, Stateful]) -> int:
    """Restore the parts and return the number of finished epochs; 0 without a checkpoint.

    Raises:
        CheckpointError: damaged, or made with other settings.
    """
    if not path.exists():
        return 0
    try:
        record = torch.load(path, map_location="cpu", weights_only=True)
        found = record["settings"], record["epoch"], record["state"]
    except (RuntimeError, EOFError, KeyError, TypeError, pickle.UnpicklingError) as error:
        raise CheckpointError(
            f"{path} is damaged ({type(error).__name__}); delete it to start this run again"
        ) from error
    saved_settings, epoch, state = found
    if saved_settings != settings:
        raise CheckpointError(
            f"{path} belongs to a run with other settings than the recipe has now; "
            "expected the same, so give the run another name or delete its folder"
        )
    for name, part in parts.items():
        part.load_state_dict(state[name])
    return int(epoch)
