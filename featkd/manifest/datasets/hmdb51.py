"""HMDB51: one list for each class and fold, in which a number tells the split.

Kuehne, Jhuang, Garrote, Poggio, Serre, "HMDB: A Large Video Database for Human Motion Recognition",
ICCV 2011, section 4.
"""

import re

from featkd.errors import ManifestError
from featkd.manifest.class_index import ClassIndex
from featkd.manifest.list_files import ListFiles, numbered_lines
from featkd.manifest.listing import ListedClip, Listing

_SPLIT_OF_NUMBER = {"0": None, "1": "train", "2": "test"}


def read_hmdb51(files: ListFiles, classes: ClassIndex, fold: str) -> Listing:
    """Read ``<class>_test_split<fold>.txt``: lines ``name.avi number``, 0 for unused.

    The group of a clip is the film it was cut from, which its name begins with.

    Raises:
        ManifestError: a class has no list, or a line is not of this form.
    """
    clips = []
    for class_name in classes.classes:
        path = files.named(f"{class_name}_test_split{fold}.txt")
        source = re.compile(rf"(.+)_{re.escape(class_name)}_[fhlu]_", re.IGNORECASE)
        for place, line in numbered_lines(path):
            name, _, number = line.rpartition(" ")
            if not name or number not in _SPLIT_OF_NUMBER:
                raise ManifestError(f"{place} is {line!r}; expected a file and 0, 1 or 2")
            split = _SPLIT_OF_NUMBER[number]
            if split is None:
                continue
            match = source.match(name)
            group = f"{class_name}/{match[1]}" if match else None
            clips.append(ListedClip(f"{class_name}/{name.strip()}", class_name, split, group=group))
    return Listing(tuple(clips))
