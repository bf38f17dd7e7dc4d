"""The backbone of a detector starts from a classifier of the I3D family."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from featkd.detection.afsd import AFSD
from featkd.errors import CheckpointError, ModelError
from featkd.models import LayerTransfer, ModelSpec, digest_of, read_foreign_weights, start_from

_BACKBONE, _CLASSIFIER = "backbone.", "backbone.logits."
# Counts the batches of a training; old files lack it, and nothing reads it.
_COUNTER = "num_batches_tracked"


@dataclass(frozen=True)
class BackboneWeights:
    """Weights of a classifier, or of another detector, for a detector's backbone.

    Published I3D weights in a layout that featkd knows, or networks that featkd trained. Kernels
    of another member of the family are fitted in time, as `featkd.models.start_from` does.

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
            ``origin``, what became of the ``layers`` and the names that were ``left_out``.

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
        expected = f"expected a backbone of the I3D family of width {network.spec.width:g}"
        try:
            layers = start_from(
                network.backbone,
                {name.removeprefix(_BACKBONE): tensor for name, tensor in own.items()},
            )
        except ModelError as error:
            raise CheckpointError(f"{self.file} does not fit; {expected}: {error}") from error
        known = {f"{_BACKBONE}{layer.name}" for layer in layers}
        wrong = [_describe(layer) for layer in layers if _stays(layer)]
        wrong += [f"{weights.file_names.get(n, n)} is left over" for n in own if n not in known]
        if wrong:
            raise CheckpointError(
                f"{self.file} does not fit; {expected}, but {wrong[0]}"
                + (f", and {len(wrong) - 1} more tensors do not fit" if wrong[1:] else "")
            )
        return {
            "origin": weights.origin.model_dump(),
            "layers": [layer._asdict() for layer in layers],
            "left_out": sorted(set(weights.state) - set(own)),
        }


def _stays(layer: LayerTransfer) -> bool:
    return layer.how == "fresh" and not layer.name.endswith(_COUNTER)


def _describe(layer: LayerTransfer) -> str:
    if layer.teacher_shape is None:
        return f"{layer.name} is missing"
    return f"{layer.name} has shape {layer.teacher_shape}, not {layer.shape}"
