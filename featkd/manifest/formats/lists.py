"""Lists of ``path label``, a file for each split: mmaction2, SlowFast, PyTorchVideo.

The three differ in the names of the files, in the class list and in which paths their readers
take apart correctly.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePath

import pandas as pd
from pydantic import ValidationError

from featkd.durable import replace_file
from featkd.errors import ManifestError
from featkd.manifest.formats.class_list import read_classes, write_class_ids, write_label_map
from featkd.manifest.formats.partial import PartialManifest
from featkd.manifest.manifest import Manifest
from featkd.manifest.schema import ManifestHeader, explain
from featkd.manifest.text_file import read_text


@dataclass(frozen=True, slots=True)
class ListFormat:
    """A format of one text file a split, with a path and a label in each line.

    Attributes:
        name: its name in options and messages.
        suffix: how the name of a list ends, after that of its split.
        class_file: name of the class list.
        spaces: whether paths may have spaces.
        splits: splits that its readers know; None where any name will do.
    """

    name: str
    suffix: str
    class_file: str
    spaces: bool
    splits: tuple[str, ...] | None = None

    @property
    def columns(self) -> frozenset[str]:
        """Columns of a manifest that it holds."""
        return frozenset({"path", "label", "class_name", "split"})

    @property
    def fields(self) -> frozenset[str]:
        """Fields of a manifest's header that it holds, the class list apart."""
        return frozenset()

    def write(self, manifest: Manifest, folder: Path) -> None:
        """Write a list for each split, and the class list.

        Raises:
            ManifestError: a row is a part of its file, its path has spaces that a reader of the
                format would cut at, or its split has a name that no list can have.
        """
        table = manifest.table
        self._check(table)
        for split, rows in table.groupby("split", sort=False):
            lines = (f"{p} {label}\n" for p, label in zip(rows["path"], rows["label"], strict=True))
            replace_file(folder / f"{split}{self.suffix}", "".join(lines).encode())
        write = write_label_map if self.class_file.endswith(".txt") else write_class_ids
        replace_file(folder / self.class_file, write(manifest.header.classes))

    def read(self, folder: Path, root: Path) -> PartialManifest:
        """Read the lists and the class list of a folder, by the names that `write` gives them."""
        lists = {
            path.name.removesuffix(self.suffix): path
            for path in sorted(folder.glob(f"*{self.suffix}"))
            if path.name != self.suffix
        }
        if not lists:
            raise ManifestError(
                f"{folder} has no list; expected a file <split>{self.suffix} for each split"
            )
        return self.read_files(lists, folder / self.class_file, root)

    def read_files(self, lists: Mapping[str, Path], classes: Path, root: Path) -> PartialManifest:
        """Read lists and a class list of any names.

        Args:
            lists: list by split.
            classes: class list, see `read_classes`.
            root: folder of the videos; absolute paths must lie in it.

        Raises:
            ManifestError: naming file, line, value and what was expected.
        """
        names = read_classes(classes)
        try:
            header = ManifestHeader(
                dataset=root.resolve().name or "videos",
                version="1",
                classes=names,
                protocol=f"splits as the lists of {self.name} give them: {', '.join(lists)}",
                source=f"lists {', '.join(path.name for path in lists.values())}",
                licence="unknown",
            )
        except ValidationError as error:
            raise ManifestError(f"{classes}: {explain(error)}") from error
        rows: list[dict[str, object]] = []
        places: dict[str, str] = {}
        for split, path in lists.items():
            for place, video, label in self._entries(path, names, root):
                first = places.setdefault(video, place)
                if first != place:
                    raise ManifestError(
                        f"{place}: {video!r} is listed by {first} too; expected each video once, "
                        "so leave one of the lists out"
                    )
                rows.append(
                    {"path": video, "label": label, "class_name": names[label], "split": split}
                )
        if not rows:
            listed = ", ".join(str(path) for path in lists.values())
            raise ManifestError(f"{listed}: no video is listed; expected at least one")
        return PartialManifest(header, pd.DataFrame(rows))

    def _check(self, table: pd.DataFrame) -> None:
        refuse = partial(_refuse, self.name, table)
        whole = "as its lists name whole files; --whole-files takes rows for their files"
        refuse("start_sec", table["start_sec"] != 0, f"0, {whole}")
        refuse("end_sec", table["end_sec"].notna(), f"nothing, {whole}")
        if self.spaces:
            kept = table["path"].map(
                lambda path: [path] == path.splitlines() and path == path.strip()
            )
            refuse("path", ~kept, "a path without spaces around it and without line separators")
        else:
            spaced = table["path"].map(lambda path: re.search(r"\s", path) is not None)
            refuse("path", spaced, "a path without spaces, which part it from the label")
        if self.splits is not None:
            refuse("split", ~table["split"].isin(self.splits), f"one of {', '.join(self.splits)}")
        named = table["split"].map(lambda split: "/" not in split and not split.startswith("."))
        refuse("split", ~named, "a name that a file can have")

    def _entries(
        self, path: Path, classes: tuple[str, ...], root: Path
    ) -> Iterator[tuple[str, str, int]]:
        """Place, path below the root and label of each line."""
        for number, line in enumerate(read_text(path, "a list of videos").split("\n"), start=1):
            if not line.strip():
                continue
            place = f"{path}: line {number}"
            match line.strip().rsplit(None, 1):
                case [video, label] if re.fullmatch(r"\d+", label):
                    pass
                case _:
                    raise ManifestError(f"{place} is {line[:80]!r}; expected a path and a label")
            if not self.spaces and re.search(r"\s", video):
                raise ManifestError(
                    f"{place} is {line[:80]!r}; expected a path without spaces and a label "
                    "(lists of frame folders have three values and name no videos)"
                )
            if int(label) >= len(classes):
                raise ManifestError(
                    f"{place}: label is {label}; expected 0 to {len(classes) - 1}, as there are "
                    f"{len(classes)} classes"
                )
            yield place, _below(root, video, place), int(label)


def _refuse(name: str, table: pd.DataFrame, column: str, wrong: pd.Series, expected: str) -> None:
    if not wrong.any():
        return
    row = int(wrong.to_numpy().argmax())
    value = table[column].tolist()[row]
    others = f" ({int(wrong.sum())} rows are so)" if wrong.sum() > 1 else ""
    raise ManifestError(
        f"row {row}, video {table['video_id'].iloc[row]!r}: {column} is {value!r}, which {name} "
        f"cannot hold; expected {expected}{others}"
    )


def _below(root: Path, video: str, place: str) -> str:
    """A path as a manifest has it, relative to the root."""
    path = PurePath(video)
    if not path.is_absolute():
        # Lists often say ./a/b.mp4; a manifest has one spelling.
        return path.as_posix()
    for folder in (root.absolute(), root.resolve()):
        if path.is_relative_to(folder):
            return path.relative_to(folder).as_posix()
    raise ManifestError(
        f"{place}: {video!r} does not lie in {root}; expected the root of the videos"
    )


MMACTION2 = ListFormat("mmaction2", "_list_videos.txt", "label_map.txt", spaces=False)
SLOWFAST = ListFormat(
    "slowfast", ".csv", "class_names.json", spaces=False, splits=("train", "val", "test")
)
PYTORCHVIDEO = ListFormat("pytorchvideo", ".csv", "class_names.json", spaces=True)
