"""Image models of timm, frame by frame."""

from torch import nn

from featkd.errors import ModelError
from featkd.models.hub.fold import Fold
from featkd.models.hub.hub_model import HubModel
from featkd.models.hub.packages import import_package
from featkd.models.hub.spec import TimmSpec


def build_timm(spec: TimmSpec, num_classes: int) -> HubModel:
    """Build an image model of timm with random weights; it sees the frames of a clip one by one.

    Raises:
        ModelError: timm is missing, knows no such model, or refuses the arguments.
    """
    timm = import_package("timm")
    try:
        network = timm.create_model(
            spec.architecture, pretrained=False, num_classes=num_classes, **spec.arguments
        )
    except (RuntimeError, TypeError, ValueError) as error:
        raise ModelError(f"timm cannot build {spec.architecture!r}: {error}") from error
    return HubModel(
        network=network,
        input_layout="frames",
        fold=_fold_of(network),
        classifier=_classifier_of(network),
        reads_mean=spec.classifier_reads_mean,
    )


def _fold_of(network: nn.Module) -> Fold:
    """Tokens where the model cuts patches and has no stages; else maps, as it says itself."""
    embedding = getattr(network, "patch_embed", None)
    prefix_tokens = getattr(network, "num_prefix_tokens", None)
    if embedding is not None and prefix_tokens is not None:
        rows, columns = embedding.patch_size
        return Fold(
            layout="tokens", per_frame=True, patch=(1, rows, columns), prefix_tokens=prefix_tokens
        )
    channels_last = getattr(network, "output_fmt", "NCHW") == "NHWC"
    return Fold(layout="channels_last" if channels_last else "channels_first", per_frame=True)


def _classifier_of(network: nn.Module) -> str | None:
    classifier = getattr(network, "get_classifier", lambda: None)()
    names = [name for name, module in network.named_modules() if module is classifier]
    return names[0] if names else None
