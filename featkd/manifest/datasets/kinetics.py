"""Kinetics-400, -600 and -700: CSV files of clips of videos on YouTube.

Kay et al., "The Kinetics Human Action Video Dataset", arXiv 1705.06950, 2017; the further editions
have the same form.
"""

from featkd.errors import ManifestError
from featkd.manifest.class_index import ClassIndex
from featkd.manifest.list_files import ListFiles, csv_rows, seconds, split_of_word
from featkd.manifest.listing import ListedClip, Listing, Remark

_COLUMNS = ("youtube_id", "time_start", "time_end", "split")


def read_kinetics(files: ListFiles, classes: ClassIndex, fold: str) -> Listing:  # noqa: ARG001
    """Read CSV files with the columns label, youtube_id, time_start, time_end and split.

    The videos are the cut clips, called ``<youtube_id>_<start>_<end>.mp4`` with six digits each.
    The group of a clip is the video it was cut from. Lists without labels, as that of the test
    split once was, are left out.

    Raises:
        ManifestError: there is no such file, or a row has a wrong value.
    """
    clips = []
    remarks = []
    paths = files.matching(r".*\.csv")
    if not paths:
        raise ManifestError(f"{files} has no .csv file; expected the official lists of Kinetics")
    for path in paths:
        for place, row in csv_rows(path, *_COLUMNS):
            if not row.get("label"):
                remarks.append(Remark(f"{path}", "has no labels; its clips are left out"))
                break
            clips.append(_clip(row, classes, place))
    return Listing(tuple(clips), remarks=(*remarks, *classes.remarks()))


def _clip(row: dict[str, str], classes: ClassIndex, place: str) -> ListedClip:
    start, end = (
        f"{round(seconds(row[name], name, place)):06d}" for name in ("time_start", "time_end")
    )
    video = row["youtube_id"]
    return ListedClip(
        f"{video}_{start}_{end}.mp4",
        # A part of the editions quotes the names of classes twice.
        classes.named(row["label"].strip('"'), place),
        split_of_word(row["split"], place),
        group=video,
    )
