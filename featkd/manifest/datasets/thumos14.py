"""THUMOS14: segments of 20 classes; the validation set trains, the test set evaluates.

Jiang et al., "THUMOS Challenge: Action Recognition with a Large Number of Classes", 2014.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from featkd.errors import ManifestError
from featkd.manifest.class_index import ClassIndex
from featkd.manifest.datasets.segments import videos_of_segments
from featkd.manifest.list_files import ListFiles, csv_rows, numbered_lines, seconds
from featkd.manifest.listing import ListedSegment, Listing, Remark

AMBIGUOUS = "Ambiguous"
_SPLIT_OF_SET = {"val": "train", "test": "test"}
_FRAME_COLUMNS = {"startFrame": "start", "endFrame": "end"}
_FRAMES_TOLERATED = 3.0


@dataclass(frozen=True, slots=True)
class _Annotated:
    """A row of a list: a segment, ambiguous or not, and the frames that the list gives for it."""

    segment: ListedSegment
    frames_and_seconds: tuple[tuple[float, float], ...] = ()


def read_thumos14(files: ListFiles, classes: ClassIndex, fold: str) -> Listing:  # noqa: ARG001
    """Read the segments of both sets.

    Either the challenge's own text files, ``<class>_val.txt`` and ``<class>_test.txt`` with lines
    ``video start end``, or ``val_Annotation.csv`` and ``test_Annotation.csv`` as detectors pass
    them on, with the columns video, type, start and end. Times are the seconds of the lists.
    Ambiguous segments are left out, and so are videos that have no others. Frame numbers in the CSV
    files are used for nothing; where ``<set>_video_info.csv`` tells the frame rate, it is remarked
    in which videos they contradict the seconds.

    Raises:
        ManifestError: a list is missing or not of this form.
    """
    segments: list[ListedSegment] = []
    remarks: list[Remark] = []
    split_of_video: dict[str, str] = {}
    for name, split in _SPLIT_OF_SET.items():
        rows = list(_rows(files, name, classes))
        clear = [row.segment for row in rows if row.segment.class_name != AMBIGUOUS]
        segments += clear
        split_of_video |= {segment.video_id: split for segment in clear}
        if len(clear) < len(rows):
            message = f"has {len(rows) - len(clear)} ambiguous segments, which are left out"
            remarks.append(Remark(f"{name} set of THUMOS14", message))
        remarks += [
            Remark(video, "has only ambiguous segments and is left out")
            for video in dict.fromkeys(row.segment.video_id for row in rows)
            if video not in split_of_video
        ]
        remarks += _frames_that_contradict(rows, _frame_rates(files, name))
    clips = videos_of_segments(segments, split_of_video, {video: video for video in split_of_video})
    return Listing(tuple(clips), tuple(segments), (*remarks, *classes.remarks()))


def _rows(files: ListFiles, name: str, classes: ClassIndex) -> Iterator[_Annotated]:
    texts = files.matching(rf"\w+_{name}\.txt")
    if not texts:
        yield from _csv_rows(
            files.named(f"{name}_Annotation.csv", f"{name}_Annotation_ours.csv"), classes
        )
    for path in texts:
        class_name = _class_name(path.stem.removesuffix(f"_{name}"), classes, f"{path}")
        for place, line in numbered_lines(path):
            words = line.split()
            if len(words) != 3:
                raise ManifestError(f"{place} is {line!r}; expected a video, its start and its end")
            yield _Annotated(_segment(words[0], words[1], words[2], class_name, place))


def _csv_rows(path: Path, classes: ClassIndex) -> Iterator[_Annotated]:
    for place, row in csv_rows(path, "video", "type", "start", "end"):
        class_name = _class_name(row["type"], classes, place)
        segment = _segment(row["video"], row["start"], row["end"], class_name, place)
        frames = tuple(
            (seconds(row[frame], frame, place), seconds(row[time], time, place))
            for frame, time in _FRAME_COLUMNS.items()
            if row.get(frame)
        )
        yield _Annotated(segment, frames)


def _class_name(name: str, classes: ClassIndex, place: str) -> str:
    return name if name == AMBIGUOUS else classes.named(name, place)


def _segment(video: str, start: str, end: str, class_name: str, place: str) -> ListedSegment:
    start_sec, end_sec = seconds(start, "start", place), seconds(end, "end", place)
    return ListedSegment(video, start_sec, end_sec, class_name)


def _frame_rates(files: ListFiles, name: str) -> dict[str, float]:
    return {
        row["video"]: seconds(row["fps"], "fps", place)
        for path in files.matching(rf"{name}_video_info\.csv")
        for place, row in csv_rows(path, "video", "fps")
    }


def _frames_that_contradict(rows: list[_Annotated], fps: Mapping[str, float]) -> list[Remark]:
    """Videos whose frame numbers are not seconds times frame rate."""
    worst: dict[str, float] = {}
    for row in rows:
        video = row.segment.video_id
        for frame, time_sec in row.frames_and_seconds if video in fps else ():
            worst[video] = max(worst.get(video, 0.0), abs(frame - time_sec * fps[video]))
    return [
        Remark(
            video,
            f"has frame numbers up to {frames:.0f} frames off its seconds at {fps[video]:g} frames "
            "per second; the seconds are used",
        )
        for video, frames in worst.items()
        if frames > _FRAMES_TOLERATED
    ]
