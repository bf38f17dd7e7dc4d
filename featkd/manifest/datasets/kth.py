"""KTH: one text file that subdivides the persons and cuts the videos into sequences.

Schuldt, Laptev, Caputo, "Recognizing Human Actions: A Local SVM Approach", ICPR 2004.
"""

import re
from itertools import pairwise

from featkd.errors import ManifestError
from featkd.manifest.class_index import ClassIndex
from featkd.manifest.list_files import ListFiles, numbered_lines, split_of_word
from featkd.manifest.listing import ListedClip, Listing, Remark

FPS = 25
_PERSONS = re.compile(r"(Training|Validation|Test):\s*person([\d,\s]+)", re.IGNORECASE)
_SEQUENCES = re.compile(r"(person(\d\d)_(\w+)_d\d)\s+(?:frames\s+(.*)|\*missing\*)")
_FRAMES = re.compile(r"(\d+)\s*-\s*(\d+)")


def read_kth(files: ListFiles, classes: ClassIndex, fold: str) -> Listing:  # noqa: ARG001
    """Read ``00sequences.txt``; each of its sequences is a clip, 2,391 in all.

    Frames are counted from 1 there, both ends included, at 25 frames per second. The group of a
    clip is the person. Sequences that share frames are remarked.

    Raises:
        ManifestError: the file is missing, or a line is not of this form.
    """
    path = files.named("00sequences.txt")
    split_of_person: dict[str, str] = {}
    clips: list[ListedClip] = []
    remarks = []
    for place, line in numbered_lines(path):
        if persons := _PERSONS.match(line):
            split = split_of_word(persons[1], place)
            split_of_person |= dict.fromkeys(re.findall(r"\d\d", persons[2]), split)
        elif line.startswith("person"):
            match = _SEQUENCES.match(line)
            if match is None or match[2] not in split_of_person:
                raise ManifestError(
                    f"{place} is {line!r}; expected a video of a person of one of the three sets, "
                    "and its sequences of frames"
                )
            name, person, action, text = match.groups()
            frames = [(int(first), int(last)) for first, last in _FRAMES.findall(text or "")]
            group, split = f"person{person}", split_of_person[person]
            clips += _clips(name, classes.named(action, place), split, group, frames)
            if not frames:
                remarks.append(Remark(place, f"says that {name} is missing"))
            if _overlap(frames):
                remarks.append(Remark(place, f"has sequences of {name} that share frames"))
    return Listing(tuple(clips), remarks=tuple(remarks))


def _clips(
    name: str, class_name: str, split: str, group: str, frames: list[tuple[int, int]]
) -> list[ListedClip]:
    return [
        ListedClip(
            f"{class_name}/{name}_uncomp.avi",
            class_name,
            split,
            video_id=f"{name}_{number}",
            group=group,
            start_sec=(first - 1) / FPS,
            end_sec=last / FPS,
            num_frames=last - first + 1,
        )
        for number, (first, last) in enumerate(frames, start=1)
    ]


def _overlap(frames: list[tuple[int, int]]) -> bool:
    ordered = sorted(frames)
    return any(following[0] <= one[1] for one, following in pairwise(ordered))
