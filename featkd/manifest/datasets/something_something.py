"""Something-Something v2: JSON files of templates.

Goyal et al., "The 'something something' Video Database for Learning and Evaluating Visual Common
Sense", ICCV 2017.
"""

from collections.abc import Iterator
from pathlib import Path

from featkd.errors import ManifestError
from featkd.manifest.class_index import ClassIndex
from featkd.manifest.list_files import ListFiles, read_json
from featkd.manifest.listing import ListedClip, Listing

_PREFIX = "something-something-v2-"


def read_something_something(
    files: ListFiles,
    classes: ClassIndex,
    fold: str,  # noqa: ARG001
) -> Listing:
    """Read ``labels.json``, ``train.json`` and ``validation.json``.

    Their names may begin with ``something-something-v2-``. An entry has an id and a template whose
    placeholders stand in brackets; without the brackets it is the name of the class.

    Raises:
        ManifestError: a file is missing or not of this form.
    """
    labels = files.named(f"{_PREFIX}labels.json", "labels.json")
    classes.require(_in_order(labels), f"{labels}")
    clips = [
        _clip(entry, split, classes, place)
        for split, name in (("train", "train.json"), ("val", "validation.json"))
        for place, entry in _entries(files.named(f"{_PREFIX}{name}", name))
    ]
    return Listing(tuple(clips), remarks=tuple(classes.remarks()))


def _in_order(path: Path) -> list[str]:
    """The names of the classes in the order of their numbers."""
    content = read_json(path)
    if not isinstance(content, dict) or not all(
        str(number).isdecimal() for number in content.values()
    ):
        raise ManifestError(f"{path} is no object of class names and numbers")
    return sorted(content, key=lambda name: int(content[name]))


def _entries(path: Path) -> Iterator[tuple[str, dict[str, object]]]:
    content = read_json(path)
    if not isinstance(content, list):
        raise ManifestError(f"{path} holds {type(content).__name__}; expected a list of entries")
    for position, entry in enumerate(content):
        place = f"{path}: entry {position}"
        if not isinstance(entry, dict) or not {"id", "template"} <= entry.keys():
            raise ManifestError(f"{place} is {str(entry)[:60]!r}; expected an id and a template")
        yield place, entry


def _clip(entry: dict[str, object], split: str, classes: ClassIndex, place: str) -> ListedClip:
    template = str(entry["template"]).replace("[", "").replace("]", "")
    return ListedClip(f"{entry['id']}.webm", classes.named(template, place), split)
