"""The backbone of a detector starts from a classifier of the I3D family."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from featkd.detection.afsd import AFSD
from featkd.models import ModelSpec, digest_of, load_weights, read_foreign_weights

_BACKBONE, _CLASSIFIER = "backbone.", "backbone.logits."


@dataclass(frozen=True)
class BackboneWeights:
    """Weights of a classifier, or of another detector, for a detector's backbone.

    Published I3D weights in a layout that featkd knows, or networks that featkd trained.

    Attributes:
        file: that holds them.
    """

    file: Path

    @cached_property
    def sha256(self) -> str:
        """Digest of the file.

        Raises:
            CheckpointError: there is no such file.
        """
        return digest_of(self.file)

    def load(self, network: AFSD) -> dict[str, object]:
        """Load them strictly: every tensor of the backbone, and none beside them.

        The file's classifier, and whatever else stands behind its backbone, is left out.

        Returns:
            ``origin``, the names that ``matched`` and those ``left_out``.

        Raises:
            CheckpointError: they are missing, damaged or do not fit; names what does not.
        """
        spec = ModelSpec(name=network.spec.name, width=network.spec.width)
        weights = read_foreign_weights(self.file, spec, num_classes=1)
        own = {
            name: tensor
            for name, tensor in weights.state.items()
            if name.startswith(_BACKBONE) and not name.startswith(_CLASSIFIER)
        }
        report = load_weights(
            network.backbone,
            {name.removeprefix(_BACKBONE): tensor for name, tensor in own.items()},
            source=str(self.file),
            file_names={
                name.removeprefix(_BACKBONE): weights.file_names.get(name, name) for name in own
            },
            advice=f"; expected the backbone {network.spec.name} of width {network.spec.width:g}",
        )
        return {
            "origin": weights.origin.model_dump(),
            "matched": list(report.matched),
            "left_out": sorted(set(weights.state) - set(own)),
        }
