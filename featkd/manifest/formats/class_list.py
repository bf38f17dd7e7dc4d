"""Class lists beside the lists of videos: a line for each class, or names with their numbers."""

import json
from pathlib import Path

from featkd.errors import ManifestError
from featkd.manifest.text_file import read_text


def write_label_map(classes: tuple[str, ...]) -> bytes:
    """A line for each class, in the order of the labels, as mmaction2's ``label_map.txt``.

    Raises:
        ManifestError: a name begins or ends with a space, which readers strip.
    """
    for label, name in enumerate(classes):
        if name != name.strip():
            raise ManifestError(
                f"class {label} is {name!r}; expected a name without spaces around it"
            )
    return "".join(f"{name}\n" for name in classes).encode()


def write_class_ids(classes: tuple[str, ...]) -> bytes:
    """A JSON object from names to labels, as SlowFast's ``CLASS_NAMES_PATH``."""
    ids = {name: label for label, name in enumerate(classes)}
    return (json.dumps(ids, indent=1, ensure_ascii=False) + "\n").encode()


def read_classes(path: Path) -> tuple[str, ...]:
    """Class names in the order of their labels.

    Args:
        path: a ``.json`` object from names to labels, or a text file with a name a line.

    Raises:
        ManifestError: if the file cannot be read or labels do not count from 0.
    """
    text = read_text(path, "a class list")
    if path.suffix.casefold() == ".json":
        return _from_ids(text, path)
    lines = [line.strip() for line in text.split("\n")]
    while lines and not lines[-1]:
        lines.pop()
    for number, line in enumerate(lines, start=1):
        if not line:
            raise ManifestError(f"{path}: line {number} is blank; expected the name of a class")
    return tuple(lines)


def _from_ids(text: str, path: Path) -> tuple[str, ...]:
    try:
        ids = json.loads(text)
    except json.JSONDecodeError as error:
        raise ManifestError(f"{path} is not JSON: {error}") from error
    if not isinstance(ids, dict) or not all(type(label) is int for label in ids.values()):
        raise ManifestError(
            f"{path} holds {text[:40]!r}...; expected an object from class names to their numbers"
        )
    names = sorted(ids, key=lambda name: ids[name])
    for label, name in enumerate(names):
        if ids[name] != label:
            raise ManifestError(
                f"{path}: class {name!r} has number {ids[name]}; expected {label}, as numbers "
                "count from 0 without gaps"
            )
    return tuple(names)
