"""Video classifiers of Hugging Face transformers, from local files alone."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from pydantic import JsonValue
from torch import Tensor

from featkd.errors import CheckpointError, ModelError
from featkd.models.hub.fold import Fold
from featkd.models.hub.hub_model import HubModel
from featkd.models.hub.packages import import_package
from featkd.models.hub.spec import HuggingFaceSpec, read_config
from featkd.models.preprocess import PreprocessSpec

WEIGHT_FILES = ("model*.safetensors", "pytorch_model*.bin")


class _Family(NamedTuple):
    """What has to be known of a ``model_type``.

    Attributes:
        input_name: keyword of the clips (B, T, C, H, W).
        patch: names of the settings that hold frames, rows and columns of a token; None for 1.
        prefix_tokens: before those of the grid.
        order: of the tokens.
        frames: setting that holds the number of frames, where no other number can be taken.
        size: setting that holds height and width in pixels.
    """

    input_name: str
    patch: tuple[str | None, str, str]
    prefix_tokens: int
    order: str
    frames: str | None
    size: str


_PIXELS = "pixel_values"
FAMILIES = {
    "videomae": _Family(
        _PIXELS, ("tubelet_size", "patch_size", "patch_size"), 0, "thw", "num_frames", "image_size"
    ),
    "timesformer": _Family(
        _PIXELS, (None, "patch_size", "patch_size"), 1, "hwt", "num_frames", "image_size"
    ),
    "vivit": _Family(
        _PIXELS, ("tubelet_size",) * 3, 1, "thw", "num_frames", "image_size"
    ),
    "vjepa2": _Family(
        "pixel_values_videos", ("tubelet_size", "patch_size", "patch_size"), 0, "thw", None,
        "crop_size",
    ),
}  # fmt: skip


def build_huggingface(
    spec: HuggingFaceSpec, num_classes: int, input_shape: tuple[int, int, int, int]
) -> HubModel:
    """Build a video classifier of transformers with random weights.

    Args:
        spec: resolved.
        num_classes: K.
        input_shape: (C, T, H, W) of the clips.

    Raises:
        ModelError: transformers is missing, or the configuration is of an unknown kind or of
            another number of frames or size.
    """
    settings = _settings(spec)
    model_type = str(settings["model_type"])
    if model_type not in FAMILIES:
        raise ModelError(
            f"model.config.model_type is {model_type!r}, whose tokens featkd cannot fold; expected "
            f"{', '.join(FAMILIES)}, or a factory"
        )
    transformers = import_package("transformers")
    family = FAMILIES[model_type]
    config = _config(settings, num_classes)
    if getattr(config, "attention_type", None) == "space_only":
        raise ModelError("model.config.attention_type is 'space_only'; expected attention in time")
    _require_size(config, family, input_shape)
    try:
        network = transformers.AutoModelForVideoClassification.from_config(config)
    except (RuntimeError, TypeError, ValueError, ZeroDivisionError) as error:
        raise ModelError(f"transformers cannot build model.config: {error}") from error
    frames, rows, columns = (_extent(config, name, axis) for axis, name in enumerate(family.patch))
    return HubModel(
        network=network,
        input_layout="btchw",
        input_name=family.input_name,
        fold=Fold.model_validate(
            {
                "layout": "tokens",
                "patch": (frames, rows, columns),
                "prefix_tokens": family.prefix_tokens,
                "order": family.order,
            }
        ),
        classifier="classifier",
        # All of them normalise or attend between the tokens and the classifier.
        reads_mean=False,
    )


def read_huggingface_folder(
    folder: Path, spec: HuggingFaceSpec, num_classes: int
) -> tuple[dict[str, Tensor], list[str]]:
    """Weights of a local model folder, by the names that this version of transformers uses.

    Args:
        folder: with ``model.safetensors`` or ``pytorch_model.bin``, in one piece or several.
        spec: resolved; the model they are read into.
        num_classes: K of that model.

    Returns:
        The weights that the folder has, in its shapes, and the names that no module takes.

    Raises:
        CheckpointError: the folder has no weights, or they are damaged.
        ModelError: its ``config.json`` cannot be read.
    """
    if not any(True for pattern in WEIGHT_FILES for _ in folder.glob(pattern)):
        raise CheckpointError(
            f"{folder} has no weights; expected {' or '.join(WEIGHT_FILES)} in a local folder"
        )
    transformers = import_package("transformers")
    # With the folder's own number of classes its classifier is read, too, and can be reported.
    config = _config(_settings(spec), _num_labels(read_config(folder)) or num_classes)
    try:
        network, info = transformers.AutoModelForVideoClassification.from_pretrained(
            folder,
            config=config,
            local_files_only=True,
            trust_remote_code=False,
            weights_only=True,
            ignore_mismatched_sizes=True,
            output_loading_info=True,
        )
    except (OSError, RuntimeError, ValueError) as error:
        raise CheckpointError(f"{folder}: weights cannot be read: {error}") from error
    absent = {*info["missing_keys"], *(item[0] for item in info["mismatched_keys"])}
    state = {k: v for k, v in network.state_dict().items() if k not in absent}
    return state, sorted(info["unexpected_keys"])


def preprocess_problem(folder: Path, preprocess: PreprocessSpec) -> str | None:
    """What a folder's ``preprocessor_config.json`` says otherwise about mean and deviation.

    Args:
        folder: of the model.
        preprocess: of the recipe.

    Returns:
        A sentence, or None where they agree or the folder does not say.

    Raises:
        ModelError: the file is damaged.
    """
    for file in (folder / "preprocessor_config.json", folder / "video_preprocessor_config.json"):
        if not file.is_file():
            continue
        try:
            content = json.loads(file.read_text("utf-8"))
        except ValueError as error:
            raise ModelError(f"{file} is damaged; expected JSON") from error
        for field, own in (("mean", preprocess.mean), ("std", preprocess.std)):
            theirs = content.get(f"image_{field}")
            if theirs is not None and _differ(theirs, own):
                return f"preprocess.{field} is {list(own)}, but {file} says {theirs}"
        return None
    return None


def _differ(theirs: object, own: tuple[float, ...]) -> bool:
    if not isinstance(theirs, list) or len(theirs) != len(own):
        return True
    return any(abs(float(a) - b) > 1e-4 for a, b in zip(theirs, own, strict=True))


def _settings(spec: HuggingFaceSpec) -> Mapping[str, JsonValue]:
    if not isinstance(spec.config, dict):
        raise ModelError(f"model.config is the path {spec.config}; expected a resolved spec")
    return spec.config


def _num_labels(config: Mapping[str, JsonValue]) -> int | None:
    labels, number = config.get("id2label"), config.get("num_labels")
    if isinstance(labels, dict):
        return len(labels)
    return number if isinstance(number, int) else None


def _config(settings: Mapping[str, JsonValue], num_classes: int) -> object:
    transformers = import_package("transformers")
    rest = {key: value for key, value in settings.items() if key != "model_type"}
    strict = import_package("huggingface_hub.errors").StrictDataclassError
    try:
        return transformers.AutoConfig.for_model(
            settings["model_type"], **rest, num_labels=num_classes
        )
    except (TypeError, ValueError, strict) as error:
        raise ModelError(f"model.config is refused by transformers: {error}") from error


def _require_size(config: object, family: _Family, input_shape: tuple[int, int, int, int]) -> None:
    _, num_frames, height, _ = input_shape
    wanted = [(family.size, height, "preprocess.size")]
    if family.frames is not None:
        wanted.append((family.frames, num_frames, "views.train.num_frames"))
    for setting, value, ours in wanted:
        declared = getattr(config, setting)
        if (declared if isinstance(declared, list | tuple) else [declared])[0] != value:
            raise ModelError(
                f"model.config.{setting} is {declared} and {ours} {value}; expected the same"
            )


def _extent(config: object, name: str | None, axis: int) -> int:
    if name is None:
        return 1
    value = getattr(config, name)
    return int(value[axis] if isinstance(value, list | tuple) else value)
