"""What the lists of a dataset say: which clips, of which class, in which split."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ListedClip:
    """A clip as a list names it.

    Attributes:
        path: file, with / between folders, as the list writes it; the suffix may be absent.
        class_name: one of the dataset's classes.
        split: train, val or test.
        video_id: name of the row; None: the path of its file without suffix.
        group: what must not straddle splits; None where the lists do not tell.
        start_sec: where the clip starts in its file, in seconds.
        end_sec: where it ends, exclusive; None: end of file.
        num_frames: frames that the list says it has, or None.
    """

    path: str
    class_name: str
    split: str
    video_id: str | None = None
    group: str | None = None
    start_sec: float = 0.0
    end_sec: float | None = None
    num_frames: int | None = None


@dataclass(frozen=True, slots=True)
class ListedSegment:
    """An annotated stretch of a video.

    Attributes:
        video_id: name of the video's row.
        start_sec: where it starts in the video, in seconds.
        end_sec: where it ends, exclusive.
        class_name: one of the dataset's classes.
    """

    video_id: str
    start_sec: float
    end_sec: float
    class_name: str


@dataclass(frozen=True, slots=True)
class Remark:
    """Something odd in a list that does not stop the work.

    Attributes:
        place: file of the list, with its line where a single line is meant, or name of a video.
        message: what is odd, and what is made of it.
    """

    place: str
    message: str


@dataclass(frozen=True, slots=True)
class Listing:
    """Everything the lists of a dataset say about one fold.

    Attributes:
        clips: in the order of the lists.
        segments: annotated stretches, where the dataset is one for detection.
        remarks: what is odd in the lists.
    """

    clips: tuple[ListedClip, ...]
    segments: tuple[ListedSegment, ...] = ()
    remarks: tuple[Remark, ...] = ()
