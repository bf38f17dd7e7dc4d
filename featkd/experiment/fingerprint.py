"""What a cache must have been made from to serve a recipe."""

from importlib.metadata import version

from featkd.cache import Fingerprint
from featkd.cache.fingerprint import FingerprintValue
from featkd.detection.checkpoint import DetectorCard
from featkd.experiment.workspace import BaseWorkspace
from featkd.models import NetworkCard
from featkd.recipes import DetectionRecipe
from featkd.types import Spec, TapSpec
from featkd.video import decoder_version


def teacher_fingerprint(
    workspace: BaseWorkspace, card: NetworkCard | DetectorCard, weights_sha256: str
) -> Fingerprint:
    """Every field on which all that a teacher says of a view depends.

    Which taps and views are there, and in which number format, the cache tells itself; whether the
    decoder gives the very same frames, the frames' CRC tells row by row.

    Args:
        workspace: recipe and manifest.
        card: the teacher's.
        weights_sha256: digest of its weights.
    """
    recipe = workspace.recipe
    views = recipe.views.train.model_dump(mode="json")
    del views["num_views"]
    # Fields of flow stand in those caches alone: caches of colours are as they were before.
    source: Fingerprint = {"decoder": decoder_version()}
    if card.preprocess.modality == "flow":
        source = {"preprocess.modality": "flow", **workspace.flow.fingerprint()}
    return {
        "teacher.weights_sha256": weights_sha256,
        **{f"teacher.{name}": value for name, value in card.described().items()},
        "teacher.precision": recipe.extract.precision,
        "preprocess.size": card.preprocess.size,
        "preprocess.mean": list(card.preprocess.mean),
        "preprocess.std": list(card.preprocess.std),
        **{f"views.{name}": value for name, value in sorted(views.items())},
        "views.seed": recipe.seed,
        **source,
        "renderer": f"Pillow {version('pillow')}",
        "manifest.digest": workspace.manifest.digest,
        "manifest.split": recipe.data.train_split,
        **workspace.source_fingerprint(),
    }


def representation_fingerprint(workspace: BaseWorkspace, teacher: Fingerprint) -> Fingerprint:
    """Every field on which the teacher's attention and frozen modules depend.

    Args:
        workspace: recipe.
        teacher: fingerprint of the features they are learned from.
    """
    recipe = workspace.recipe
    learned = recipe.representation
    codecs = [recipe.extract.codec(TapSpec(layer, "full").key)[0] for layer in learned.layers]
    losses = _flat("losses", recipe.losses) if isinstance(recipe, DetectionRecipe) else {}
    return {
        **teacher,
        **_flat("representation", learned),
        **losses,
        "representation.codec": codecs[0] if len(codecs) == 1 else [*codecs],
    }


def _flat(name: str, settings: Spec) -> dict[str, FingerprintValue]:
    """Settings of two levels at most, by dotted names."""
    flat: dict[str, FingerprintValue] = {}
    for key, value in settings.model_dump(mode="json").items():
        nested = value.items() if isinstance(value, dict) else [("", value)]
        flat |= {f"{name}.{key}.{inner}".rstrip("."): item for inner, item in nested}
    return flat


def trajectory_fingerprint(
    workspace: BaseWorkspace, teacher: Fingerprint, file_sha256: FingerprintValue
) -> Fingerprint:
    """Every field on which the logits of the teacher's own training depend.

    Args:
        workspace: recipe.
        teacher: fingerprint of what the trained teacher says.
        file_sha256: digest of the file that its training left.
    """
    return {
        **teacher,
        "trajectory.num_views": workspace.recipe.views.train.num_views,
        "trajectory.sha256": file_sha256,
    }
