"""A trained teacher, loaded frozen from its folder, whatever its task."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from featkd.cache import CacheStore, Fingerprint, sha256_of_state_dict
from featkd.detection.checkpoint import DetectorCard
from featkd.errors import UsageError
from featkd.experiment.fingerprint import teacher_fingerprint
from featkd.experiment.workspace import BaseWorkspace
from featkd.models import BaseTeacher, NetworkCard
from featkd.types import TapSpec


class BaseFrozenTeacher(ABC):
    """The teacher of a workspace, with its card and the digest of its weights.

    Args:
        workspace: the recipe.
        path: where it was loaded from, for messages.
        card: its card.
        network: in evaluation mode.

    Attributes:
        card: all that is needed to build and feed it.
        weights_sha256: digest of its weights.

    Raises:
        UsageError: its classes are not the manifest's, or it sees another modality than the recipe
            says.
    """

    card: NetworkCard | DetectorCard

    def __init__(
        self,
        workspace: BaseWorkspace,
        path: Path,
        card: NetworkCard | DetectorCard,
        network: nn.Module,
    ) -> None:
        self.card = card
        self.weights_sha256 = sha256_of_state_dict(network.state_dict())
        if card.classes != workspace.manifest.header.classes:
            raise UsageError(
                f"{path} knows {len(card.classes)} classes that are not those of "
                f"{workspace.recipe.data.manifest} ({len(workspace.manifest.header.classes)}); "
                "expected the same names in the same order"
            )
        expected = workspace.recipe.teacher.preprocess.modality
        if card.preprocess.modality != expected:
            raise UsageError(
                f"{path} sees {card.preprocess.modality}, and teacher.preprocess.modality of "
                f"the recipe is {expected}; expected the same"
            )
        self._workspace = workspace

    @property
    def fingerprint(self) -> Fingerprint:
        """Every field on which all that it says of the workspace's views depends.

        Raises:
            FeatkdError: the workspace's annotations or flow cannot be read.
        """
        return teacher_fingerprint(self._workspace, self.card, self.weights_sha256)

    @property
    @abstractmethod
    def module_name(self) -> str | None:
        """Name of its last module beside a cache; None where it has none to hand on."""

    @abstractmethod
    def save_module(self, store: CacheStore) -> None:
        """Put its last module beside a cache, where it has one to hand on."""

    @abstractmethod
    def with_taps(
        self, taps: Sequence[TapSpec], *, device: torch.device | None = None
    ) -> BaseTeacher:
        """Ready to run, reading these taps.

        Args:
            taps: what to read.
            device: where to put a copy of its own; default: the recipe's device, without a copy.
        """
