"""UCF101: the official lists, and the rule by which they were made.

Soomro, Zamir, Shah, "UCF101: A Dataset of 101 Human Actions Classes From Videos in The Wild",
CRCV-TR-12-01, 2012, section 3.
"""

import re
from collections.abc import Iterable

from featkd.errors import ManifestError, UsageError
from featkd.manifest.class_index import ClassIndex
from featkd.manifest.list_files import ListFiles, numbered_lines
from featkd.manifest.listing import ListedClip, Listing, Remark

_NAME = re.compile(r"v_(\w+)_g(\d\d)_c\d\d", re.IGNORECASE)
_TEST_GROUPS = {"1": range(1, 8), "2": range(8, 15), "3": range(15, 22)}


def read_ucf101(files: ListFiles, classes: ClassIndex, fold: str) -> Listing:
    """Read ``classInd.txt``, ``trainlist0N.txt`` and ``testlist0N.txt``.

    Raises:
        ManifestError: a list is missing, or names a class or a file otherwise than UCF101 does.
    """
    index = files.named("classInd.txt")
    names = [line.partition(" ")[2].strip() for _, line in numbered_lines(index)]
    classes.require(names, f"{index}")
    clips = []
    for split in ("train", "test"):
        for place, line in numbered_lines(files.named(f"{split}list0{fold}.txt")):
            path, _, label = line.partition(" ")
            clip = _clip(path, split, classes, place)
            if label and classes.numbered(_from_one(label, place), place) != clip.class_name:
                raise ManifestError(
                    f"{place}: label is {label}; expected "
                    f"{classes.classes.index(clip.class_name) + 1}, that of {clip.class_name}"
                )
            clips.append(clip)
    return Listing(tuple(clips), remarks=tuple(classes.remarks()))


def split_ucf101_by_group(paths: Iterable[str], classes: ClassIndex, fold: str) -> Listing:
    """Derive the official splits from the group in the name of each file.

    Groups 1 to 7 are the test split of fold 1, 8 to 14 that of fold 2, 15 to 21 that of fold 3; all
    others train.

    Args:
        paths: files such as ``Archery/v_Archery_g01_c01.avi``; other names are remarked.
        classes: the classes of UCF101.
        fold: 1, 2 or 3.

    Raises:
        ManifestError: a name has an unknown class.
        UsageError: there is no such fold.
    """
    if fold not in _TEST_GROUPS:
        raise UsageError(f"fold of ucf101 is {fold!r}; expected one of {', '.join(_TEST_GROUPS)}")
    clips = []
    remarks = []
    for path in paths:
        match = _NAME.match(path.rpartition("/")[2])
        if match is None:
            remarks.append(Remark(path, "is no name of UCF101's; it is left out"))
            continue
        split = "test" if int(match[2]) in _TEST_GROUPS[fold] else "train"
        clips.append(_clip(path, split, classes, path))
    return Listing(tuple(clips), remarks=(*remarks, *classes.remarks()))


def _clip(path: str, split: str, classes: ClassIndex, place: str) -> ListedClip:
    match = _NAME.match(path.rpartition("/")[2])
    if match is None:
        raise ManifestError(f"{place}: file is {path!r}; expected v_<class>_g<group>_c<clip>")
    class_name = classes.named(match[1], place)
    return ListedClip(path, class_name, split, group=f"{class_name}_g{match[2]}")


def _from_one(label: str, place: str) -> int:
    """A label that the lists count from 1, counted from 0."""
    if not label.strip().isdecimal():
        raise ManifestError(f"{place}: label is {label!r}; expected a number from 1")
    return int(label) - 1
