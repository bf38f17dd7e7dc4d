"""What a cache must have been made from to serve a recipe."""

from featkd.cache import Fingerprint
from featkd.experiment.workspace import Workspace
from featkd.models import NetworkCard
from featkd.types import TapSpec
from featkd.video import decoder_version


def teacher_fingerprint(
    workspace: Workspace, card: NetworkCard, weights_sha256: str, taps: tuple[TapSpec, ...]
) -> Fingerprint:
    """Every field on which the teacher's layer of a cache depends.

    Args:
        workspace: recipe and manifest.
        card: the teacher's.
        weights_sha256: digest of its weights.
        taps: what is cached beside the logits.
    """
    recipe = workspace.recipe
    views = recipe.views.train.model_dump(mode="json")
    model = card.model.model_dump(mode="json")
    return {
        "teacher.weights_sha256": weights_sha256,
        **{f"teacher.{name}": value for name, value in sorted(model.items())},
        "teacher.taps": [tap.key for tap in taps],
        "preprocess.size": card.preprocess.size,
        "preprocess.mean": list(card.preprocess.mean),
        "preprocess.std": list(card.preprocess.std),
        **{f"views.{name}": value for name, value in sorted(views.items())},
        "views.seed": recipe.seed,
        "decoder": decoder_version(),
        "manifest.digest": workspace.manifest.digest,
        "manifest.split": recipe.data.train_split,
        "extract.dtype": recipe.extract.dtype,
    }
