"""Files of weights with a card: safetensors whose metadata says how to build the network again."""

import json
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from featkd.durable import replace_file
from featkd.errors import CheckpointError
from featkd.types import Spec

AnyCard = TypeVar("AnyCard", bound=Spec)


def write_carded(path: Path, module: nn.Module, card: Spec, entry: str) -> None:
    """Write weights and card. The file appears whole or not at all.

    Args:
        path: the file.
        module: whose weights.
        card: says how to build it again.
        entry: of the metadata, to hold the card.
    """
    state = {name: tensor.contiguous() for name, tensor in module.state_dict().items()}
    replace_file(path, save(state, metadata={entry: card.model_dump_json()}))


def read_carded(
    path: Path, kind: type[AnyCard], entry: str, *, noun: str, instead_of: str
) -> tuple[AnyCard, dict[str, Tensor]]:
    """Card and weights of a file that `write_carded` left.

    Args:
        path: the file.
        kind: of its card.
        entry: of the metadata, that holds the card.
        noun: what is expected, for messages: ``network``.
        instead_of: what a file without such a card may be, for messages.

    Raises:
        CheckpointError: missing, damaged, or without such a card.
    """
    if not path.is_file():
        raise CheckpointError(f"{path} is not a file; expected a {noun} saved by 'featkd train'")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            if entry not in metadata:
                raise CheckpointError(
                    f"{path} has no {entry!r} entry in its metadata; expected a {noun} saved by "
                    f"featkd, {instead_of}"
                )
            card = kind.model_validate(json.loads(metadata[entry]))
            return card, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, ValidationError, json.JSONDecodeError) as error:
        raise CheckpointError(f"{path} is damaged or not a safetensors file: {error}") from error
