"""Frozen modules beside a cache: weights as safetensors, constructor arguments as JSON."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor

from featkd.cache.sealed_json import seal, unseal
from featkd.cache.store import SavedModule
from featkd.durable import make_folder, replace_file
from featkd.errors import CacheError


def write_module(
    folder: Path,
    name: str,
    state_dict: Mapping[str, Tensor],
    arguments: Mapping[str, object],
) -> None:
    """Write ``<name>.safetensors``, then ``<name>.json``, which names its digest."""
    # Tied weights share storage, which safetensors refuses.
    weights = {key: value.detach().cpu().clone().contiguous() for key, value in state_dict.items()}
    content = safetensors.torch.save(weights)
    digest = hashlib.sha256(content).hexdigest()
    description = {"arguments": dict(arguments), "weights_sha256": digest}
    make_folder(folder)
    replace_file(folder / f"{name}.safetensors", content)
    replace_file(folder / f"{name}.json", seal(description))


def read_module(folder: Path, name: str) -> SavedModule:
    """Read a module back.

    Raises:
        CacheError: it is missing or damaged.
    """
    weights_path = folder / f"{name}.safetensors"
    description_path = folder / f"{name}.json"
    try:
        content = weights_path.read_bytes()
        description = unseal(description_path.read_bytes())
        if hashlib.sha256(content).hexdigest() != description["weights_sha256"]:
            raise CacheError(
                f"{weights_path} is not the file that {description_path} describes; "
                "save the module again: run featkd represent"
            )
        return SavedModule(safetensors.torch.load(content), description["arguments"])
    except FileNotFoundError as error:
        if weights_path.exists() or description_path.exists():
            raise CacheError(
                f"module {name!r} is incomplete: {error.filename} is missing; save the module "
                "again: run featkd represent"
            ) from error
        known = ", ".join(list_modules(folder)) or "none"
        raise CacheError(f"{folder} has no module {name!r}; it has {known}") from error
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise CacheError(f"module {name!r} in {folder} cannot be read: {error}") from error


def list_modules(folder: Path) -> list[str]:
    """Names of the modules in a folder, in alphabetical order."""
    return sorted(path.stem for path in folder.glob("*.json"))
