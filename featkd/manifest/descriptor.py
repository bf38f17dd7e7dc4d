"""Describes a dataset apart from anybody's copy of it: classes in order, protocol, licence."""

from pathlib import Path

import yaml
from pydantic import Field, ValidationError

from featkd.errors import ManifestError
from featkd.manifest.schema import ClassNames, explain
from featkd.spec import Spec


class DatasetDescriptor(Spec):
    """What is true of every copy of a dataset.

    Attributes:
        dataset: name of the dataset.
        classes: class names; the position of a class is its label.
        protocol: how the splits came about.
        licence: licence of the videos.
        homepage: where the dataset is described.
        citation: what to cite.
    """

    dataset: str = Field(min_length=1)
    classes: ClassNames
    protocol: str = Field(min_length=1)
    licence: str = Field(min_length=1)
    homepage: str = Field(min_length=1)
    citation: str = Field(min_length=1)


def read_descriptor(path: Path) -> DatasetDescriptor:
    """Read the YAML file of a dataset.

    Raises:
        ManifestError: if the file is missing, is not YAML, or has a wrong, unknown or missing key.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ManifestError(f"{path} cannot be read: {error.strerror or error}") from error
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise ManifestError(f"{path} is not YAML in UTF-8: {reason}") from error
    if not isinstance(content, dict):
        raise ManifestError(f"{path} holds {type(content).__name__}; expected keys with values")
    try:
        return DatasetDescriptor.model_validate(content)
    except ValidationError as error:
        raise ManifestError(f"{path}: {explain(error)}") from error
