"""Plain lists: a path and a label on each line, as mmaction2, PySlowFast and others have them."""

from pathlib import Path

from featkd.errors import ManifestError
from featkd.manifest.class_index import ClassIndex
from featkd.manifest.list_files import ListFiles, numbered_lines, split_of_file
from featkd.manifest.listing import ListedClip, Listing

_SUFFIXES = r".*\.(txt|csv|lst|list)"


def read_lists(files: ListFiles, classes: ClassIndex, fold: str) -> Listing:  # noqa: ARG001
    """Read lines ``path label`` or ``path,label``; a label is a number from 0 or a class name.

    mmaction2 writes its lists of videos so, PySlowFast its CSV files. The split is in the name of
    the file: train.csv, ucf101_val_split_1_videos.txt.

    Raises:
        ManifestError: a line is not of this form, or a file's name tells no split.
    """
    clips = []
    for path in _list_paths(files):
        split = split_of_file(path)
        for place, line in numbered_lines(path):
            name, label = _parted(line)
            if not name or not label:
                raise ManifestError(f"{place} is {line!r}; expected a path and a label")
            clips.append(ListedClip(name, _class_name(label, classes, place), split))
    return Listing(tuple(clips), remarks=tuple(classes.remarks()))


def read_frame_lists(files: ListFiles, classes: ClassIndex, fold: str) -> Listing:  # noqa: ARG001
    """Read lines ``path num_frames label``, as mmaction2 writes its lists of frame folders.

    The path of a frame folder stands for the video of that name, with any suffix.

    Raises:
        ManifestError: a line is not of this form, or a file's name tells no split.
    """
    clips = []
    for path in _list_paths(files):
        split = split_of_file(path)
        for place, line in numbered_lines(path):
            words = line.rsplit(maxsplit=2)
            if len(words) != 3 or not (words[1].isdecimal() and words[2].isdecimal()):
                raise ManifestError(
                    f"{place} is {line!r}; expected a path, a number of frames and a label"
                )
            class_name = classes.numbered(int(words[2]), place)
            clips.append(ListedClip(words[0], class_name, split, num_frames=int(words[1])))
    return Listing(tuple(clips))


def read_class_names(path: Path) -> tuple[str, ...]:
    """The names of classes, one a line, in the order of their labels.

    Raises:
        ManifestError: the file cannot be read or is empty.
    """
    names = tuple(line for _, line in numbered_lines(path))
    if not names:
        raise ManifestError(f"{path} is empty; expected the names of classes, one a line")
    return names


def _list_paths(files: ListFiles) -> list[Path]:
    paths = files.matching(_SUFFIXES)
    if not paths:
        raise ManifestError(f"{files} has no list; expected files .txt or .csv")
    return paths


def _parted(line: str) -> tuple[str, str]:
    """Path and label. A path may hold spaces, and a class name too where a comma parts them."""
    words = line.rsplit(maxsplit=1)
    if len(words) == 2 and words[1].isdecimal() and not words[0].endswith(","):
        return words[0], words[1]
    name, _, label = line.rpartition(",") if "," in line else line.rpartition(" ")
    return name.strip(), label.strip()


def _class_name(label: str, classes: ClassIndex, place: str) -> str:
    if label.isdecimal():
        return classes.numbered(int(label), place)
    return classes.named(label, place)
