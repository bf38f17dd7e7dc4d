"""The model that a spec describes."""

from featkd.errors import ModelError
from featkd.models.hub.factory import build_factory
from featkd.models.hub.hub_model import HubModel
from featkd.models.hub.huggingface_models import build_huggingface
from featkd.models.hub.spec import (
    FactorySpec,
    HubSpec,
    HuggingFaceSpec,
    TimmSpec,
    TorchvisionSpec,
)
from featkd.models.hub.timm_models import build_timm
from featkd.models.hub.torchvision_models import build_torchvision


def build_hub_model(
    spec: HubSpec, num_classes: int, input_shape: tuple[int, int, int, int]
) -> HubModel:
    """Build a foreign model with random weights.

    Args:
        spec: which one.
        num_classes: K.
        input_shape: (C, T, H, W) of the clips.

    Raises:
        ModelError: its package is missing, or the spec does not describe a model of it.
    """
    match spec:
        case TorchvisionSpec():
            return build_torchvision(spec, num_classes)
        case HuggingFaceSpec():
            return build_huggingface(spec, num_classes, input_shape)
        case TimmSpec():
            return build_timm(spec, num_classes)
        case FactorySpec():
            return build_factory(spec, num_classes)
    raise ModelError(f"{type(spec).__name__} is no spec of a foreign model that featkd knows")
