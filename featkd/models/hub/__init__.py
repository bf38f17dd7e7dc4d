"""Models from elsewhere as teachers and students: torchvision, transformers, timm, factories."""

from featkd.models.hub.build import build_hub_model
from featkd.models.hub.fold import Fold, fold_output
from featkd.models.hub.hub_model import HubBackbone, HubModel
from featkd.models.hub.huggingface_models import (
    preprocess_problem,
    read_huggingface_folder,
)
from featkd.models.hub.spec import (
    FactorySpec,
    HubSpec,
    HuggingFaceSpec,
    TimmSpec,
    TorchvisionSpec,
)

__all__ = [
    "FactorySpec",
    "Fold",
    "HubBackbone",
    "HubModel",
    "HubSpec",
    "HuggingFaceSpec",
    "TimmSpec",
    "TorchvisionSpec",
    "build_hub_model",
    "fold_output",
    "preprocess_problem",
    "read_huggingface_folder",
]
