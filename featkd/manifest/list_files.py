"""The files in which a dataset's splits are listed."""

import csv
import json
import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from featkd.errors import ManifestError
from featkd.manifest.text_file import read_text

_SPLIT_OF_WORD = {
    "train": "train", "training": "train",
    "val": "val", "valid": "val", "validate": "val", "validation": "val",
    "test": "test", "testing": "test",
}  # fmt: skip
_WORD = re.compile(r"(?<![a-z])(train|val|valid|validate|validation|test)(ing)?(list)?(?![a-z])")


class ListFiles:
    """List files of a user, found by their names.

    Args:
        sources: files, and folders whose files are meant, at any depth.

    Raises:
        ManifestError: a source does not exist.
    """

    def __init__(self, sources: Sequence[Path]) -> None:
        self.sources = tuple(sources)
        self.paths: list[Path] = []
        for source in sources:
            if source.is_dir():
                self.paths += sorted(path for path in source.rglob("*") if path.is_file())
            elif source.exists():
                self.paths.append(source)
            else:
                raise ManifestError(f"{source} does not exist; expected a list or a folder of them")

    def named(self, *names: str) -> Path:
        """The file that has one of these names, the first of them that there is.

        Raises:
            ManifestError: there is none, or there are several.
        """
        for name in names:
            found = self.matching(re.escape(name))
            if len(found) > 1:
                raise ManifestError(f"{found[0]} and {found[1]} have the same name; expected one")
            if found:
                return found[0]
        raise ManifestError(f"{self} has no file {' or '.join(names)}; expected the official lists")

    def matching(self, pattern: str) -> list[Path]:
        """The files whose whole name matches a regular expression; case does not count."""
        return [path for path in self.paths if re.fullmatch(pattern, path.name, re.IGNORECASE)]

    def __str__(self) -> str:
        return ", ".join(map(str, self.sources))


def split_of_word(word: str, place: str) -> str:
    """The split that a list calls train, training, val, validation, test or the like.

    Raises:
        ManifestError: the word means no split.
    """
    try:
        return _SPLIT_OF_WORD[word.strip().casefold()]
    except KeyError:
        known = ", ".join(_SPLIT_OF_WORD)
        raise ManifestError(f"{place}: split is {word!r}; expected one of {known}") from None


def split_of_file(path: Path) -> str:
    """The split that a list holds, by its name: train.csv, hmdb51_val_split_1_rawframes.txt.

    Raises:
        ManifestError: the name has no such word, or several.
    """
    words = {_SPLIT_OF_WORD[match[1]] for match in _WORD.finditer(path.stem.casefold())}
    if len(words) != 1:
        raise ManifestError(
            f"{path}: its name says {' and '.join(sorted(words)) or 'no split'}; "
            "expected a name with one of the words train, val or test"
        )
    return words.pop()


def numbered_lines(path: Path) -> Iterator[tuple[str, str]]:
    """The lines of a text file that are not blank, each with its place: file and line.

    Raises:
        ManifestError: it cannot be read.
    """
    for number, line in enumerate(read_text(path, "a list").splitlines(), start=1):
        if line.strip():
            yield f"{path}: line {number}", line.strip()


def csv_rows(
    path: Path, *columns: str, header_line: int = 1
) -> Iterator[tuple[str, dict[str, str]]]:
    """The rows of a CSV file, each with its place: file and line.

    Args:
        path: the file; further columns are allowed.
        columns: columns that it must have.
        header_line: the line that names the columns; what stands above it is passed over.

    Raises:
        ManifestError: it cannot be read, lacks a column or a row is too short.
    """
    lines = read_text(path, "a CSV file").splitlines()[header_line - 1 :]
    reader = csv.DictReader(lines)
    for column in columns:
        if column not in (reader.fieldnames or ()):
            raise ManifestError(
                f"{path}: line {header_line} names no column {column!r}; "
                f"expected {', '.join(columns)}"
            )
    for row in reader:
        place = f"{path}: line {reader.line_num + header_line - 1}"
        for column in columns:
            if row[column] is None:
                raise ManifestError(f"{place} has no {column!r}; expected {', '.join(columns)}")
        yield place, row


def read_json(path: Path) -> object:
    """The content of a JSON file.

    Raises:
        ManifestError: it cannot be read or is not JSON.
    """
    try:
        content: object = json.loads(read_text(path, "a JSON file"))
    except json.JSONDecodeError as error:
        raise ManifestError(f"{path} is not JSON: {error}") from error
    return content


def seconds(value: object, name: str, place: str) -> float:
    """A time of a list as a number.

    Raises:
        ManifestError: it is no finite number.
    """
    try:
        number = float(value) if isinstance(value, str | int | float) else math.nan
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ManifestError(f"{place}: {name} is {value!r}; expected a number of seconds")
    return number
