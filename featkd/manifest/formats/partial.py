"""What another format says about a dataset, and what it leaves out."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import pandas as pd

from featkd.manifest.manifest import Manifest
from featkd.manifest.schema import COLUMN_NAMES, ManifestHeader


@dataclass(frozen=True, slots=True)
class PartialManifest:
    """What a file or folder in another format says: some columns of a manifest.

    Attributes:
        header: the manifest's header; what the format does not say has a plain default.
        table: one row per clip. ``path``, ``label``, ``class_name`` and ``split`` are there, other
            columns of a manifest where the format holds them.
    """

    header: ManifestHeader
    table: pd.DataFrame


@runtime_checkable
class Format(Protocol):
    """A way in which others keep what a manifest holds."""

    @property
    def name(self) -> str:
        """Its name in options and messages."""

    @property
    def columns(self) -> frozenset[str]:
        """Columns of a manifest that it holds."""

    @property
    def fields(self) -> frozenset[str]:
        """Fields of a manifest's header that it holds, the class list apart."""

    def write(self, manifest: Manifest, folder: Path) -> None:
        """Write the files of a manifest into a folder.

        Raises:
            ManifestError: naming the first value that the format cannot hold.
        """

    def read(self, folder: Path, root: Path) -> PartialManifest:
        """Read a folder that `write` or others have written.

        Args:
            folder: where the files lie.
            root: folder of the videos; absolute paths must lie in it.

        Raises:
            ManifestError: naming file, line, value and what was expected.
        """


def left_out(manifest: Manifest, kept: Format) -> tuple[str, ...]:
    """Names of what a format does not hold of a manifest: columns, and ``header.<field>``.

    Columns that say nothing, such as a ``start_sec`` of 0 everywhere, are not named.
    """
    table = manifest.table
    columns = [
        name for name in COLUMN_NAMES if name not in kept.columns and _says_something(name, table)
    ]
    header: Mapping[str, object] = manifest.header.model_dump(exclude={"format", "classes"})
    fields = [
        f"header.{name}" for name, value in header.items() if name not in kept.fields and value
    ]
    return (*columns, *fields)


def _says_something(name: str, table: pd.DataFrame) -> bool:
    match name:
        case "start_sec":
            return bool((table[name] != 0).any())
        case "video_id":
            return table[name].tolist() != ids_of(table["path"].tolist())
        case _:
            return bool(table[name].notna().any())


def ids_of(paths: Collection[str]) -> list[str]:
    """Ids for files: each path without its suffix, or with it where that would not be unique."""
    stems = {path: path.rpartition(".")[0] or path for path in paths}
    counts = pd.Series(list(stems.values())).value_counts().to_dict()
    return [
        stem if counts[stem] == 1 and stem not in stems else path
        for path, stem in ((path, stems[path]) for path in paths)
    ]
