"""Trained detectors on disk: safetensors with a card that says how to build the network again."""

from pathlib import Path

from pydantic import PositiveFloat, PositiveInt
from torch import Tensor

from featkd.cache.fingerprint import Fingerprint
from featkd.detection.afsd import AFSD, AFSDSpec
from featkd.errors import CheckpointError
from featkd.models import PreprocessSpec
from featkd.models.carded_file import read_carded, write_carded
from featkd.types import Spec

CARD = "featkd.detector"
"""Entry of a saved detector's metadata that holds its card."""


class DetectorCard(Spec):
    """All that is needed to build a detector and feed it."""

    model: AFSDSpec
    classes: tuple[str, ...]
    num_frames: PositiveInt
    """Of a window."""
    sample_fps: PositiveFloat
    """Frames per second it sees videos at."""
    crop_scale: float
    """Height and width of the centre crop it sees, as fractions of the frame's."""
    preprocess: PreprocessSpec

    @property
    def input_shape(self) -> tuple[int, int, int, int]:
        """(C, T, H, W)."""
        size = self.preprocess.size
        return (self.preprocess.num_channels, self.num_frames, size, size)

    def described(self) -> Fingerprint:
        """Flat names and values of all that decides what a teacher is."""
        settings = self.model.model_dump(mode="json", exclude={"reused_detector"})  # students'
        return dict(sorted(settings.items()))

    def build(self, *, with_background: bool = False) -> AFSD:
        """An untrained detector of this card."""
        return AFSD(
            self.model, len(self.classes), self.input_shape, with_background=with_background
        )


def save_detector(path: Path, network: AFSD, card: DetectorCard) -> None:
    """Write weights and card. The file appears whole or not at all."""
    write_carded(path, network, card, CARD)


def read_detector(path: Path) -> tuple[DetectorCard, dict[str, Tensor]]:
    """Card and weights of a saved detector.

    Raises:
        CheckpointError: missing, damaged, or not a detector that featkd saved.
    """
    return read_carded(
        path,
        DetectorCard,
        CARD,
        noun="detector",
        instead_of="not a classifier and not bare weights",
    )


def load_detector(path: Path) -> tuple[DetectorCard, AFSD]:
    """A saved detector, on the CPU, in evaluation mode.

    Raises:
        CheckpointError: missing, damaged, or weights that do not fit the card.
        ModelError: the network cannot be built.
    """
    card, state = read_detector(path)
    network = card.build()
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise CheckpointError(f"{path}: weights do not fit {card.model.name}: {error}") from error
    return card, network.eval()
