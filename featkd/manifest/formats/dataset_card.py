"""The dataset card of a Hugging Face dataset, ``README.md``: splits, columns and class names."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from featkd.errors import ManifestError
from featkd.manifest.manifest import Manifest
from featkd.manifest.schema import COLUMNS
from featkd.manifest.text_file import read_text

_DTYPES = {"text": "string", "int64": "int64", "float64": "float64"}


class Card(NamedTuple):
    """What a dataset card says that a manifest asks for.

    Attributes:
        dataset: name of the dataset, or None.
        classes: class names in the order of their labels, or None.
    """

    dataset: str | None
    classes: tuple[str, ...] | None


def card_of(manifest: Manifest, columns: Sequence[str]) -> str:
    """The dataset card of a manifest.

    Args:
        manifest: what it speaks of.
        columns: columns of the metadata, as the manifest calls them.
    """
    header = manifest.header
    dtypes: dict[str, object] = {column.name: _DTYPES[column.dtype_name] for column in COLUMNS}
    class_names = {str(label): name for label, name in enumerate(header.classes)}
    dtypes["label"] = {"class_label": {"names": class_names}}
    features: list[dict[str, object]] = [{"name": "video", "dtype": "video"}]
    features += [{"name": name, "dtype": dtypes[name]} for name in columns if name != "path"]
    front_matter = {
        "pretty_name": header.dataset,
        "configs": [
            {
                "config_name": "default",
                "data_files": [{"split": name, "path": f"{name}/**"} for name in manifest.splits()],
            }
        ],
        "dataset_info": {"features": features},
    }
    about = {
        "Version": header.version,
        "Splits": header.protocol,
        "Source": header.source,
        "Licence": header.licence,
    }
    lines = "".join(f"- {name}: {_one_line(value)}\n" for name, value in about.items() if value)
    front = yaml.safe_dump(front_matter, sort_keys=False, allow_unicode=True)
    return f"---\n{front}---\n\n# {_one_line(header.dataset)}\n\n{lines}"


def read_card(path: Path) -> Card:
    """Read a dataset card; where there is none, or none of these things in it, it says nothing.

    Raises:
        ManifestError: if its front matter is not YAML, or labels of its classes have gaps.
    """
    if not path.exists():
        return Card(None, None)
    match = re.match(r"---\n(.*?\n)---(\n|$)", read_text(path, "a dataset card"), re.DOTALL)
    try:
        front = yaml.safe_load(match[1]) if match else None
    except yaml.YAMLError as error:
        reason = _one_line(str(error))
        raise ManifestError(f"{path}: its front matter is not YAML: {reason}") from error
    if not isinstance(front, dict):
        return Card(None, None)
    name = front.get("pretty_name")
    return Card(name if isinstance(name, str) else None, _class_names(front, path))


def _class_names(front: dict[str, Any], path: Path) -> tuple[str, ...] | None:
    """Names of the feature ``label``, given as a list or by number."""
    try:
        (names,) = (
            feature["dtype"]["class_label"]["names"]
            for feature in front["dataset_info"]["features"]
            if feature["name"] == "label"
        )
    except (KeyError, TypeError, ValueError):
        # There is no such feature, or its labels have no names.
        return None
    if isinstance(names, dict):
        by_number = {str(number): name for number, name in names.items()}
        names = [by_number.get(str(number)) for number in range(len(by_number))]
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ManifestError(
            f"{path}: dataset_info: class names of the feature 'label' are {names!r}; expected "
            "text for each number from 0"
        )
    return tuple(names)


def _one_line(text: str) -> str:
    return " ".join(text.split())
