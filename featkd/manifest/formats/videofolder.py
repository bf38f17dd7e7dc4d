"""The folder convention of Hugging Face ``datasets`` for videos, called VideoFolder there.

A folder for each split, and in it ``metadata.jsonl`` or ``metadata.csv`` with a ``file_name``
relative to it and any other columns. The class list stands in the dataset card.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from pydantic import ValidationError

from featkd.durable import replace_file
from featkd.errors import ManifestError
from featkd.manifest.formats.dataset_card import card_of, read_card
from featkd.manifest.formats.metadata_rows import metadata_rows
from featkd.manifest.formats.partial import PartialManifest
from featkd.manifest.manifest import Manifest
from featkd.manifest.schema import COLUMN_NAMES, COLUMNS, ManifestHeader, explain

CARD = "README.md"
METADATA = ("metadata.jsonl", "metadata.csv")
_DEFAULT_SPLIT = "train"
# What `datasets` accepts as the name of a split.
_SPLIT_NAME = r"\w+(\.\w+)*"


class VideoFolder:
    """Folders of videos with metadata, as ``datasets.load_dataset`` reads them.

    Attributes:
        name: its name in options and messages.
        columns: columns of a manifest that it holds.
        fields: fields of a manifest's header that it holds, the class list apart.
    """

    name = "videofolder"
    columns = frozenset(COLUMN_NAMES)
    fields = frozenset({"dataset"})

    def write(self, manifest: Manifest, folder: Path) -> None:
        """Write ``metadata.jsonl`` for each split, and the dataset card.

        The videos belong where `places` says.

        Raises:
            ManifestError: a split has a name that ``datasets`` does not accept, or a column has
                values in one split and none in another, which it would take for another type.
        """
        for split in manifest.splits():
            if not re.fullmatch(_SPLIT_NAME, split):
                raise ManifestError(
                    f"split {split!r} cannot be a split of a {self.name}; expected letters, "
                    "digits and _"
                )
        table = manifest.table.assign(path=_file_names(manifest.table))
        empty = _empty_columns(table)
        kept = [name for name in COLUMN_NAMES if name not in empty and name != "split"]
        for split in manifest.splits():
            named = table.loc[table["split"] == split, kept].rename(columns={"path": "file_name"})
            records = pa.Table.from_pandas(named, preserve_index=False).to_pylist()
            lines = (f"{json.dumps(record, ensure_ascii=False)}\n" for record in records)
            (folder / split).mkdir()
            replace_file(folder / split / METADATA[0], "".join(lines).encode())
        replace_file(folder / CARD, card_of(manifest, kept).encode())

    def read(self, folder: Path, root: Path) -> PartialManifest:
        """Read the metadata and the dataset card of a folder.

        Args:
            folder: what to read.
            root: the same folder, since the videos lie in it.

        Raises:
            ManifestError: if there are no metadata, a row is damaged or classes are unknown.
        """
        if root.resolve() != folder.resolve():
            raise ManifestError(
                f"root is {root}; expected {folder}, as the videos of a {self.name} lie in it"
            )
        card = read_card(folder / CARD)
        rows = [
            row
            for split, path in _metadata_files(folder)
            for row in _rows(path, split, below=path.parent.relative_to(folder))
        ]
        if not rows:
            raise ManifestError(f"{folder}: its metadata name no video; expected at least one")
        table, classes = _with_classes(pd.DataFrame(rows), card.classes, folder)
        try:
            header = ManifestHeader(
                dataset=card.dataset or folder.resolve().name or "videos",
                version="1",
                classes=classes,
                protocol=f"splits as the folders of a {self.name} give them",
                source=f"folder {folder.resolve().name}",
                licence="unknown",
            )
        except ValidationError as error:
            raise ManifestError(f"{folder}: {explain(error)}") from error
        return PartialManifest(header, table)


def places(manifest: Manifest) -> list[str]:
    """Where each video belongs, relative to the folder that `VideoFolder.write` writes."""
    table = manifest.table
    names: list[str] = (table["split"] + "/" + _file_names(table)).tolist()
    return names


def _file_names(table: pd.DataFrame) -> pd.Series:
    """Paths relative to the folders of the splits: all lie there already, or none is taken to."""
    prefixes = table["split"] + "/"
    pairs = list(zip(table["path"], prefixes, strict=True))
    if not all(path.startswith(prefix) for path, prefix in pairs):
        return table["path"]
    return pd.Series([path.removeprefix(prefix) for path, prefix in pairs], index=table.index)


def _empty_columns(table: pd.DataFrame) -> set[str]:
    """Columns without any value, which are left out; all splits must agree."""
    empty = set()
    for name in (column.name for column in COLUMNS if column.nullable):
        filled = table[name].notna().groupby(table["split"], sort=False).any()
        if not filled.any():
            empty.add(name)
        elif not filled.all():
            raise ManifestError(
                f"column {name!r} has values in split {filled.idxmax()!r} and none in split "
                f"{filled.idxmin()!r}, which datasets takes for another type; expected values in "
                "every split, or in none"
            )
    return empty


def _metadata_files(folder: Path) -> list[tuple[str, Path]]:
    """Metadata by split: a file in the folder of each, or one at the top."""
    if not folder.is_dir():
        raise ManifestError(f"{folder} is not a folder; expected one with {METADATA[0]} in it")
    found: list[tuple[str, Path]] = []
    for place in [folder, *sorted(path for path in folder.iterdir() if path.is_dir())]:
        files = [place / name for name in METADATA if (place / name).is_file()]
        split = _DEFAULT_SPLIT if place == folder else place.name
        found += [(split, file) for file in files]
        if len(files) > 1 or (files and place != folder and found[0][1].parent == folder):
            raise ManifestError(
                f"{found[0][1]} and {found[-1][1]} both tell of videos; expected one file at the "
                "top, or one in the folder of each split"
            )
    if not found:
        raise ManifestError(
            f"{folder} has no {' or '.join(METADATA)}, neither at the top nor in the folder of a "
            "split; a tree of class folders is read by 'featkd manifest build'"
        )
    return found


def _rows(path: Path, split: str, below: Path) -> Iterator[dict[str, object]]:
    for line, record in metadata_rows(path):
        name = record.get("file_name")
        if not isinstance(name, str):
            raise ManifestError(
                f"{path}: line {line}: file_name is {name!r}; expected a video's name, relative "
                "to this file"
            )
        known = {key: value for key, value in record.items() if key in COLUMN_NAMES}
        yield {**known, "path": (below / name).as_posix(), "split": split}


def _with_classes(
    table: pd.DataFrame, names: tuple[str, ...] | None, folder: Path
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Fill in labels or class names, whichever is missing, and find the class list.

    Args:
        table: rows with labels, which are numbers or names, or class names, or both.
        names: class list of the dataset card, or None.
        folder: for messages.
    """
    if "label" in table and table["label"].map(lambda label: isinstance(label, str)).all():
        table = table.assign(class_name=table["label"]).drop(columns="label")
    if "class_name" not in table:
        numbers = table["label"] if "label" in table else pd.Series(dtype=np.int64)
        if names is None or numbers.empty or not numbers.isin(range(len(names))).all():
            raise ManifestError(
                f"{folder}: its metadata have no class names; expected class_name, label as text, "
                f"or label as a number of the feature 'label' in {CARD}"
            )
        table = table.assign(class_name=[names[int(label)] for label in numbers])
    no_text = ~table["class_name"].map(lambda name: isinstance(name, str))
    if no_text.any():
        row = no_text.to_numpy().argmax()
        raise ManifestError(
            f"{folder}: class of {table['path'].iloc[row]!r} is "
            f"{table['class_name'].iloc[row]!r}; expected a name for every video"
        )
    if names is None and "label" in table:
        pairs = table[["label", "class_name"]].drop_duplicates().sort_values("label")
        if pairs["label"].tolist() != list(range(len(pairs))):
            raise ManifestError(
                f"{folder}: labels have gaps or several names; expected names of all classes in "
                f"{CARD}, as the feature 'label' under dataset_info"
            )
        names = tuple(pairs["class_name"])
    names = names or tuple(sorted(table["class_name"].unique()))
    if "label" not in table:
        unknown = ~table["class_name"].isin(names)
        if unknown.any():
            raise ManifestError(
                f"{folder}: class {table['class_name'][unknown].iloc[0]!r} is not among the "
                f"{len(names)} classes of {CARD}"
            )
        label_of = {name: label for label, name in enumerate(names)}
        table = table.assign(label=table["class_name"].map(label_of).astype(np.int64))
    return table, names
