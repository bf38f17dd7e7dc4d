"""Weights in files of others, read without executing anything that is in them."""

import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor

from featkd.checksum import sha256_of
from featkd.errors import CheckpointError

WRAPPER_KEYS = ("state_dict", "model_state_dict", "model_state", "model", "net", "network")
"""Keys under which training scripts keep the weights beside other things."""

WRAPPER_PREFIXES = ("module.", "_orig_mod.")
"""What DataParallel and ``torch.compile`` put before every name."""


@dataclass(frozen=True, slots=True)
class StateFile:
    """What a file of weights holds.

    Attributes:
        path: of the file.
        sha256: of the file's bytes, 64 hexadecimal digits.
        state: tensors on the CPU, by name, without the wrappers.
        wrappers: keys and prefixes that were taken off, outermost first.
    """

    path: Path
    sha256: str
    state: Mapping[str, Tensor]
    wrappers: tuple[str, ...] = ()


def read_state_file(path: Path) -> StateFile:
    """Read a state dictionary: safetensors, or what ``torch.save`` wrote.

    A pickled file is opened with ``weights_only=True``, so a whole pickled module is refused.

    Args:
        path: ends in ``.safetensors`` where it is such a file.

    Raises:
        CheckpointError: missing, damaged, or something else than tensors by name.
    """
    if not path.is_file():
        raise CheckpointError(f"{path} is not a file; expected weights (.pt, .pth, .safetensors)")
    is_safetensors = path.suffix == ".safetensors"
    content: object = _load_safetensors(path) if is_safetensors else _load_pickled(path)
    wrappers: list[str] = []
    content = _without_keys(content, wrappers)
    state = _without_prefixes(_require_tensors(content, path), wrappers)
    return StateFile(path, sha256_of(path), state, tuple(wrappers))


def metadata_of(path: Path) -> Mapping[str, str]:
    """What a safetensors file says beside its tensors; nothing for other files.

    Raises:
        CheckpointError: missing or damaged.
    """
    if not path.is_file():
        raise CheckpointError(f"{path} is not a file; expected weights (.pt, .pth, .safetensors)")
    if path.suffix != ".safetensors":
        return {}
    try:
        with safe_open(path, framework="pt") as file:
            return file.metadata() or {}
    except SafetensorError as error:
        raise CheckpointError(f"{path} is damaged or not a safetensors file: {error}") from error


def _load_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except SafetensorError as error:
        raise CheckpointError(f"{path} is damaged or not a safetensors file: {error}") from error


def _load_pickled(path: Path) -> object:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        reason = str(error).partition("\n")[0]
        raise CheckpointError(
            f"{path} is damaged or holds more than tensors, and nothing in it is executed; "
            f"expected a state dictionary, as torch.save(network.state_dict(), ...) writes "
            f"({reason})"
        ) from error
    except (RuntimeError, EOFError, ValueError, KeyError, IndexError, TypeError) as error:
        raise CheckpointError(f"{path} is damaged or no file of weights: {error}") from error


def _without_keys(content: object, wrappers: list[str]) -> object:
    while isinstance(content, Mapping):
        inner = [key for key in WRAPPER_KEYS if isinstance(content.get(key), Mapping)]
        if not inner:
            break
        wrappers.append(inner[0])
        content = content[inner[0]]
    return content


def _require_tensors(content: object, path: Path) -> dict[str, Tensor]:
    if not isinstance(content, Mapping) or not content:
        raise CheckpointError(
            f"{path} holds {type(content).__name__} without entries or names; expected tensors by "
            "name"
        )
    for name, value in content.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise CheckpointError(
                f"{path} holds {type(value).__name__} under {name!r}; expected tensors by name, or "
                f"these under one of {', '.join(WRAPPER_KEYS)}"
            )
    return dict(content)


def _without_prefixes(state: dict[str, Tensor], wrappers: list[str]) -> dict[str, Tensor]:
    while True:
        shared = [p for p in WRAPPER_PREFIXES if all(name.startswith(p) for name in state)]
        if not shared:
            return state
        wrappers.append(shared[0])
        state = {name.removeprefix(shared[0]): value for name, value in state.items()}
