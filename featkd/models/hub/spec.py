"""What a recipe says of a model from elsewhere."""

import json
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field, JsonValue, StringConstraints, field_validator

from featkd.errors import ModelError
from featkd.models.hub.fold import Fold
from featkd.models.hub.packages import version_of
from featkd.types import Spec

LayerName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_]*$")]
Scalar = bool | int | float | str | None

# What featkd decides, or what would fetch, open or execute something.
_REFUSED_ARGUMENTS = frozenset(
    {
        "num_classes", "weights", "weights_backbone", "progress", "pretrained", "pretrained_cfg",
        "pretrained_cfg_overlay", "checkpoint_path", "cache_dir", "features_only",
    }
)  # fmt: skip
_IGNORED_CONFIG = frozenset(
    {
        "architectures", "auto_map", "attn_implementation", "dtype", "id2label", "label2id",
        "model_type", "num_labels", "quantization_config", "torch_dtype", "transformers_version",
    }
)  # fmt: skip


class HubSpec(Spec):
    """Base of every model from elsewhere."""

    package: ClassVar[str | None] = None
    """What it comes from, where that is a package of the extra ``[hub]``."""

    layers: dict[LayerName, str] = Field(default_factory=dict)
    """Names that taps and distillers use, each with the module of the model that it stands for."""

    def described(self) -> dict[str, Scalar | list[Scalar]]:
        """Flat names and values of all that decides what the network is, for a fingerprint."""
        library = {} if self.package is None else {"library": version_of(self.package)}
        return _flatten(self.model_dump(mode="json")) | library


class _BuilderSpec(HubSpec):
    architecture: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.]+$")]
    """Name of the architecture in the library. No addresses: nothing is fetched."""
    arguments: dict[str, Scalar | list[Scalar]] = Field(default_factory=dict)
    """Keyword arguments of its builder."""

    @field_validator("arguments")
    @classmethod
    def _nothing_is_fetched(cls, value: dict[str, object]) -> dict[str, object]:
        refused = sorted(_REFUSED_ARGUMENTS & value.keys())
        if refused:
            raise ValueError(
                f"{', '.join(refused)} cannot be set here; classes come from the manifest, and "
                "weights from the section's weights"
            )
        return value


class TorchvisionSpec(_BuilderSpec):
    """A video model of torchvision: ``r3d_18``, ``s3d``, ``mvit_v2_s``, ``swin3d_t`` and others."""

    package = "torchvision"

    name: Literal["torchvision"] = "torchvision"


class TimmSpec(_BuilderSpec):
    """An image model of timm, applied to every frame; logits are averaged over frames."""

    package = "timm"

    name: Literal["timm"] = "timm"
    classifier_reads_mean: bool = False
    """Whether the classifier is applied to the mean of the last map, as in a ResNet."""


class HuggingFaceSpec(HubSpec):
    """A video classifier of transformers: VideoMAE, TimeSformer, ViViT or V-JEPA 2."""

    package = "transformers"

    name: Literal["huggingface"] = "huggingface"
    config: Path | dict[str, JsonValue]
    """A local folder with ``config.json``, that file, or its content with ``model_type``."""

    def resolved(self) -> "HuggingFaceSpec":
        """The same with the content of the configuration in it.

        Raises:
            ModelError: there is no such file, or it is no JSON object with ``model_type``.
        """
        config = self.config if isinstance(self.config, dict) else read_config(self.config)
        if not isinstance(config.get("model_type"), str):
            raise ModelError(f"{_place(self.config)} has no model_type; expected one, as videomae")
        kept = {key: value for key, value in config.items() if key not in _IGNORED_CONFIG}
        kept = {key: value for key, value in kept.items() if not key.startswith("_")}
        return self.model_copy(update={"config": {"model_type": config["model_type"], **kept}})


class FactorySpec(HubSpec):
    """A model that a function of the user's own installation builds."""

    name: Literal["factory"] = "factory"
    target: Annotated[
        str, StringConstraints(pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*$")
    ]
    """``package.module:function``, importable; called with ``num_classes`` and `arguments`."""
    arguments: dict[str, Scalar | list[Scalar]] = Field(default_factory=dict)
    """Further keyword arguments."""
    input_layout: Literal["bcthw", "btchw", "frames"] = "bcthw"
    """What the model takes: clips with channels or with frames first, or frames (B T, C, H, W)."""
    fold: Fold = Fold()
    """How its layers lay out what they give."""
    classifier: str | None = None
    """Module that is its last linear layer; needed where a new one is asked for."""
    classifier_reads_mean: bool = False
    """Whether it is applied to the mean of the last map."""

    @field_validator("arguments")
    @classmethod
    def _classes_come_from_the_manifest(cls, value: dict[str, object]) -> dict[str, object]:
        if "num_classes" in value:
            raise ValueError("num_classes comes from the manifest; expected other arguments")
        return value


def read_config(path: Path) -> dict[str, JsonValue]:
    """Content of a ``config.json``.

    Args:
        path: the file, or the folder it lies in.

    Raises:
        ModelError: it cannot be read, or is no JSON object.
    """
    file = path / "config.json" if path.is_dir() else path
    try:
        content = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(
            f"{file} cannot be read: {error}; expected the config.json of a local model folder"
        ) from error
    if not isinstance(content, dict):
        raise ModelError(f"{file} holds {type(content).__name__}; expected a JSON object")
    return content


def _place(config: Path | dict[str, JsonValue]) -> str:
    return "model.config" if isinstance(config, dict) else str(config)


def _flatten(value: dict[str, JsonValue], prefix: str = "") -> dict[str, Scalar | list[Scalar]]:
    flat: dict[str, Scalar | list[Scalar]] = {}
    for key, item in value.items():
        name = f"{prefix}{key}"
        if isinstance(item, dict):
            flat |= _flatten(item, f"{name}.")
        elif isinstance(item, list) and any(isinstance(part, dict | list) for part in item):
            flat[name] = json.dumps(item, sort_keys=True)
        else:
            flat[name] = item  # type: ignore[assignment]
    return flat
