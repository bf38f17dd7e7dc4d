"""Trained networks on disk: safetensors with a card that says how to build the network again."""

from collections.abc import Collection
from pathlib import Path

from torch import Tensor

from featkd.cache.fingerprint import Fingerprint
from featkd.errors import CheckpointError
from featkd.models.carded_file import read_carded, write_carded
from featkd.models.hub import FactorySpec
from featkd.models.network_spec import Network, NetworkSpec, build_network
from featkd.models.preprocess import PreprocessSpec
from featkd.types import Spec

CARD = "featkd.network"
"""Entry of a saved network's metadata that holds its card."""


class Origin(Spec):
    """Where weights that were not trained here come from."""

    file: str
    """Name of the file or folder."""
    sha256: str
    """Of the file's bytes, 64 hexadecimal digits; of a folder, over the names and digests of its
    files of weights."""
    layout: str
    """Whose names they had: ``pytorch_i3d``, ``kinetics_i3d_pytorch``, ``generative_kd``,
    ``huggingface``, ``featkd``, or ``plain`` where they had the network's own."""


class NetworkCard(Spec):
    """All that is needed to build a network and feed it."""

    model: NetworkSpec
    classes: tuple[str, ...]
    num_frames: int
    preprocess: PreprocessSpec
    origin: Origin | None = None
    """None for a network that was trained here."""

    @property
    def input_shape(self) -> tuple[int, int, int, int]:
        """(C, T, H, W)."""
        size = self.preprocess.size
        return (self.preprocess.num_channels, self.num_frames, size, size)

    def described(self) -> Fingerprint:
        """Flat names and values of all that decides what a teacher is."""
        origin = {} if self.origin is None else {"origin_sha256": self.origin.sha256}
        described: Fingerprint = self.model.described()
        return {**origin, **dict(sorted(described.items()))}

    def build(self, *, layers: tuple[str, ...] = ()) -> Network:
        """An untrained network of this card."""
        return build_network(self.model, len(self.classes), self.input_shape, layers=layers)


def save_network(path: Path, network: Network, card: NetworkCard) -> None:
    """Write weights and card. The file appears whole or not at all."""
    write_carded(path, network, card, CARD)


def read_weights(path: Path) -> tuple[NetworkCard, dict[str, Tensor]]:
    """Card and weights of a saved network.

    Raises:
        CheckpointError: missing, damaged, or not a network that featkd saved.
    """
    return read_carded(path, NetworkCard, CARD, noun="network", instead_of="not bare weights")


def load_network(
    path: Path, *, layers: tuple[str, ...] = (), factories: Collection[str] = ()
) -> tuple[NetworkCard, Network]:
    """A saved network, on the CPU, in evaluation mode.

    Args:
        path: file written by `save_network`.
        layers: inner layers the network shall hand out.
        factories: targets of factories that may be called. A card is part of a file that may come
            from anybody; what it names is called only if the recipe at hand names it, too.

    Raises:
        CheckpointError: missing, damaged, of a factory that is not named, or weights that do not
            fit the card.
        ModelError: the network cannot be built.
    """
    card, state = read_weights(path)
    if isinstance(card.model, FactorySpec) and card.model.target not in factories:
        raise CheckpointError(
            f"{path} is of the factory {card.model.target!r}, which no network of the recipe "
            "names; expected it there, if its code is to be run"
        )
    network = card.build(layers=layers)
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise CheckpointError(f"{path}: weights do not fit {card.model.name}: {error}") from error
    return card, network.eval()
