"""Video models of torchvision."""

from featkd.errors import ModelError
from featkd.models.hub.fold import Fold
from featkd.models.hub.hub_model import HubModel
from featkd.models.hub.packages import import_package
from featkd.models.hub.spec import TorchvisionSpec

# By the beginning of a builder's name: how layers lay out their maps, the classifier, and whether
# that reads the mean of the last map (MViT's reads the class token).
_FAMILIES = {
    "r3d": (Fold(), "fc", True),
    "mc3": (Fold(), "fc", True),
    "r2plus1d": (Fold(), "fc", True),
    "s3d": (Fold(), "classifier.1", True),
    "mvit": (Fold(layout="tokens", prefix_tokens=1), "head.1", False),
    "swin3d": (Fold(layout="channels_last"), "head", True),
}


def build_torchvision(spec: TorchvisionSpec, num_classes: int) -> HubModel:
    """Build a video model of torchvision with random weights.

    Raises:
        ModelError: torchvision is missing, knows no such model, or refuses the arguments.
    """
    family = spec.architecture.partition("_")[0]
    if family not in _FAMILIES:
        raise ModelError(
            f"model.architecture is {spec.architecture!r}, no video model of torchvision that "
            f"featkd knows; expected {', '.join(f'{name}...' for name in _FAMILIES)}, or a factory"
        )
    video = import_package("torchvision.models.video")
    builder = getattr(video, spec.architecture, None)
    if builder is None:
        raise ModelError(
            f"model.architecture is {spec.architecture!r}, which torchvision does not have"
        )
    try:
        network = builder(weights=None, num_classes=num_classes, **spec.arguments)
    except (TypeError, ValueError) as error:
        raise ModelError(
            f"torchvision's {spec.architecture} refuses its arguments: {error}"
        ) from error
    fold, classifier, reads_mean = _FAMILIES[family]
    return HubModel(
        network=network,
        input_layout="bcthw",
        fold=fold,
        classifier=classifier,
        reads_mean=reads_mean,
    )
