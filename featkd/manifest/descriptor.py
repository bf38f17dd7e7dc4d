"""Describes a dataset apart from anybody's copy of it: classes in order, protocol, licence."""

from collections.abc import Sequence
from importlib.resources import as_file, files
from pathlib import Path
from typing import Literal

import yaml
from pydantic import Field, NonNegativeInt, ValidationError

from featkd.errors import ManifestError, UsageError
from featkd.manifest.schema import ClassNames, explain
from featkd.spec import Spec

_PACKAGE = "featkd.data_manifests"
_SUFFIX = ".yaml"


def _one_fold() -> dict[str, dict[str, int]]:
    """One way to split, of unknown counts."""
    return {"1": {}}


class DatasetDescriptor(Spec):
    """What is true of every copy of a dataset.

    Attributes:
        dataset: name of the dataset.
        classes: class names; the position of a class is its label.
        protocol: how the splits came about.
        licence: licence of the videos.
        homepage: where the dataset is described.
        citation: what to cite.
        task: ``detection`` where videos have annotated segments, else ``recognition``.
        lists: form of its official lists, a key of `featkd.manifest.datasets.LIST_FORMATS`; None
            where there are none.
        folds: for each way to split the dataset, rows by split, as far as they are known.
        num_segments: annotated segments by split, as far as they are known.
    """

    dataset: str = Field(min_length=1)
    classes: ClassNames
    protocol: str = Field(min_length=1)
    licence: str = Field(min_length=1)
    homepage: str = Field(min_length=1)
    citation: str = Field(min_length=1)
    task: Literal["recognition", "detection"] = "recognition"
    lists: str | None = None
    folds: dict[str, dict[str, NonNegativeInt]] = Field(default_factory=_one_fold)
    num_segments: dict[str, NonNegativeInt] = Field(default_factory=dict)

    def protocol_of(self, fold: str) -> str:
        """What the header of a manifest says about its splits.

        Raises:
            UsageError: the dataset has no such fold.
        """
        if fold not in self.folds:
            raise UsageError(
                f"fold of {self.dataset} is {fold!r}; expected one of {', '.join(self.folds)}"
            )
        return f"{self.protocol}; fold {fold}" if len(self.folds) > 1 else self.protocol

    def fold_of(self, protocol: str) -> str | None:
        """The fold whose protocol this is: the reverse of `protocol_of`."""
        return next((fold for fold in self.folds if self.protocol_of(fold) == protocol), None)


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


def described_datasets() -> tuple[str, ...]:
    """Names of the datasets whose descriptors come with featkd, sorted."""
    names = (entry.name for entry in files(_PACKAGE).iterdir())
    return tuple(sorted(name.removesuffix(_SUFFIX) for name in names if name.endswith(_SUFFIX)))


def shipped_descriptor(dataset: str) -> DatasetDescriptor:
    """The descriptor of a dataset that comes with featkd.

    Raises:
        UsageError: there is none of that name.
    """
    if dataset not in described_datasets():
        raise UsageError(
            f"dataset {dataset!r} has no descriptor; expected one of "
            f"{', '.join(described_datasets())}"
        )
    with as_file(files(_PACKAGE) / f"{dataset}{_SUFFIX}") as path:
        return read_descriptor(path)


def describe_dataset(
    dataset: str, *, classes: Sequence[str] | None = None, lists: str | None = None
) -> DatasetDescriptor:
    """The descriptor of a dataset, with the user's own classes or form of lists.

    Args:
        dataset: its name; one without a shipped descriptor needs both others.
        classes: class names in the order of their labels; None: those of the descriptor.
        lists: form of the lists; None: that of the descriptor.

    Raises:
        UsageError: there is no descriptor and nothing in its place.
    """
    if dataset in described_datasets():
        own = {"classes": classes and tuple(classes), "lists": lists}
        shipped = shipped_descriptor(dataset).model_dump()
        return DatasetDescriptor.model_validate(
            shipped | {key: value for key, value in own.items() if value is not None}
        )
    if classes is None or lists is None:
        raise UsageError(
            f"dataset {dataset!r} has no descriptor, so that classes and the form of its lists are "
            f"needed; expected both, or one of {', '.join(described_datasets())}"
        )
    return DatasetDescriptor(
        dataset=dataset,
        classes=tuple(classes),
        protocol="splits as the lists name them",
        licence="unknown",
        homepage="unknown",
        citation="unknown",
        lists=lists,
    )
