"""Weights from elsewhere for a network of a recipe, under the network's names."""

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor

from featkd.checksum import sha256_of
from featkd.errors import CheckpointError
from featkd.models.checkpoint import CARD, Origin, read_weights
from featkd.models.hub import HubSpec, HuggingFaceSpec, read_huggingface_folder
from featkd.models.hub.huggingface_models import WEIGHT_FILES
from featkd.models.i3d_layouts import translate_i3d
from featkd.models.match import MatchReport, load_weights
from featkd.models.network_spec import Network, NetworkSpec
from featkd.models.state_file import metadata_of, read_state_file

_HUB_PREFIX = "backbone.model."


@dataclass(frozen=True, slots=True)
class ForeignWeights:
    """Weights that were not trained here.

    Attributes:
        path: file or folder they come from.
        origin: that, with its digest, for the card.
        state: tensors by the network's names.
        file_names: what the file calls each.
        classes: in order, where the file says.
    """

    path: Path
    origin: Origin
    state: Mapping[str, Tensor]
    file_names: Mapping[str, str] = field(default_factory=dict)
    classes: tuple[str, ...] | None = None

    def load(
        self, network: Network, *, replace_classifier: bool, unknown: Collection[str] = ()
    ) -> MatchReport:
        """Load them, or nothing where they do not fit.

        Args:
            network: takes them.
            replace_classifier: whether its classifier keeps what it has.
            unknown: other names of the network that keep what they have.

        Raises:
            CheckpointError: something is missing, left over or of another shape; names it.
        """
        return load_weights(
            network,
            self.state,
            source=str(self.path),
            replaced={*unknown, *(network.classifier_names() if replace_classifier else ())},
            file_names=self.file_names,
            advice=(
                ""
                if replace_classifier
                else "; for a new classifier where it is of other classes: classifier: replace"
            ),
        )


def digest_of(path: Path) -> str:
    """SHA-256 of a file, or over the names and digests of a folder's files of weights.

    Raises:
        CheckpointError: there is no such file or folder.
    """
    if path.is_file():
        return sha256_of(path)
    files = sorted(file for pattern in WEIGHT_FILES for file in path.glob(pattern))
    if not files:
        raise CheckpointError(
            f"{path} is neither a file nor a folder with {' or '.join(WEIGHT_FILES)}; expected "
            "weights"
        )
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file.name} {sha256_of(file)}\n".encode())
    return digest.hexdigest()


def read_foreign_weights(path: Path, spec: NetworkSpec, num_classes: int) -> ForeignWeights:
    """Read weights for a network, whoever saved them.

    Args:
        path: state dictionary, network saved by featkd, or folder of a Hugging Face model.
        spec: the network's, resolved.
        num_classes: K of the network.

    Raises:
        CheckpointError: missing, damaged, or of a layout that is not known for this network.
    """
    if path.is_dir():
        return _from_folder(path, spec, num_classes)
    if CARD in metadata_of(path):
        card, weights = read_weights(path)
        origin = Origin(file=path.name, sha256=digest_of(path), layout="featkd")
        return ForeignWeights(path, origin, weights, classes=card.classes)
    file = read_state_file(path)
    if isinstance(spec, HubSpec):
        names = {f"{_HUB_PREFIX}{name}": name for name in file.state}
        state = {ours: file.state[name] for ours, name in names.items()}
        origin = Origin(file=path.name, sha256=file.sha256, layout="plain")
        return ForeignWeights(path, origin, state, names)
    translated = translate_i3d(file.state)
    if translated is None:
        first = ", ".join(list(file.state)[:3])
        raise CheckpointError(
            f"{path} has tensors such as {first}; expected an I3D in a layout that featkd knows: "
            "Conv3d_1a_7x7.conv3d.weight or conv3d_1a_7x7.conv3d.weight, whatever stands before"
        )
    origin = Origin(file=path.name, sha256=file.sha256, layout=translated.layout)
    return ForeignWeights(path, origin, translated.state, translated.file_names)


def _from_folder(path: Path, spec: NetworkSpec, num_classes: int) -> ForeignWeights:
    if not isinstance(spec, HuggingFaceSpec):
        raise CheckpointError(
            f"{path} is a folder, and the network is {spec.name}; expected a file of weights"
        )
    weights, unexpected = read_huggingface_folder(path, spec, num_classes)
    names = {f"{_HUB_PREFIX}{name}": name for name in weights}
    state = {ours: weights[name] for ours, name in names.items()}
    # No module takes these; an empty tensor under the file's name puts them into the report.
    first = next(iter(weights.values()))
    state |= {name: first.new_empty(0) for name in unexpected}
    origin = Origin(file=path.name, sha256=digest_of(path), layout="huggingface")
    return ForeignWeights(path, origin, state, names)
