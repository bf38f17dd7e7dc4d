"""Trained networks on disk: safetensors with a card that says how to build the network again."""

import json
from pathlib import Path

from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from featkd.durable import replace_file
from featkd.errors import CheckpointError
from featkd.models.classifier import ModelSpec, VideoClassifier
from featkd.models.preprocess import PreprocessSpec
from featkd.types import Spec

_CARD = "featkd.network"


class NetworkCard(Spec):
    """All that is needed to build a network and feed it."""

    model: ModelSpec
    classes: tuple[str, ...]
    num_frames: int
    preprocess: PreprocessSpec

    @property
    def input_shape(self) -> tuple[int, int, int, int]:
        """(C, T, H, W)."""
        size = self.preprocess.size
        return (self.preprocess.num_channels, self.num_frames, size, size)

    def build(self, *, layers: tuple[str, ...] = ()) -> VideoClassifier:
        """An untrained network of this card."""
        return VideoClassifier(self.model, len(self.classes), self.input_shape, layers=layers)


def save_network(path: Path, network: VideoClassifier, card: NetworkCard) -> None:
    """Write weights and card. The file appears whole or not at all."""
    state = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
    replace_file(path, save(state, metadata={_CARD: card.model_dump_json()}))


def read_weights(path: Path) -> tuple[NetworkCard, dict[str, Tensor]]:
    """Card and weights of a saved network.

    Raises:
        CheckpointError: missing, damaged, or not a network that featkd saved.
    """
    if not path.is_file():
        raise CheckpointError(f"{path} is not a file; expected a network saved by 'featkd train'")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            if _CARD not in metadata:
                raise CheckpointError(
                    f"{path} has no {_CARD!r} entry in its metadata; expected a network saved by "
                    "featkd, not bare weights"
                )
            card = NetworkCard.model_validate(json.loads(metadata[_CARD]))
            return card, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, ValidationError, json.JSONDecodeError) as error:
        raise CheckpointError(f"{path} is damaged or not a safetensors file: {error}") from error


def load_network(
    path: Path, *, layers: tuple[str, ...] = ()
) -> tuple[NetworkCard, VideoClassifier]:
    """A saved network, on the CPU, in evaluation mode.

    Args:
        path: file written by `save_network`.
        layers: inner layers the network shall hand out.

    Raises:
        CheckpointError: missing, damaged, or weights that do not fit the card.
    """
    card, state = read_weights(path)
    network = card.build(layers=layers)
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise CheckpointError(f"{path}: weights do not fit {card.model.name}: {error}") from error
    return card, network.eval()
