"""Annotated segments as files: the JSON of ActivityNet and THUMOS14.

::

    {"database": {"video_test_0000004": {"subset": "test", "duration": 33.7,
                                         "annotations": [{"label": "CricketBowling",
                                                          "segment": [0.2, 1.1]}]}}}

``duration`` may be absent. Of keys beside these none is read.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import pandas as pd
from pydantic import Field

from featkd.detection.segment_file import Document, Label, SegmentSec, read_document
from featkd.durable import replace_file
from featkd.errors import AnnotationError

SEGMENT_COLUMNS = ("video_id", "label", "start_sec", "end_sec")
DEFAULT_SUBSET = "test"


@dataclass(frozen=True, eq=False)
class GroundTruth:
    """What happens when in the videos of one subset.

    Attributes:
        subset: its name.
        videos: ids, those without an annotation among them.
        segments: one row an annotation, with the columns of `SEGMENT_COLUMNS`: labels are class
            names, times are in seconds.
        duration_sec: of the videos whose duration is known.
    """

    subset: str
    videos: tuple[str, ...]
    segments: pd.DataFrame
    duration_sec: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        strangers = set(self.segments["video_id"]) - set(self.videos)
        if strangers:
            raise AnnotationError(
                f"ground truth of {self.subset!r} annotates video {min(strangers)!r}; "
                f"expected one of its {len(self.videos)} videos"
            )

    @classmethod
    def of_labels(
        cls, subset: str, videos: Sequence[str], annotations: pd.DataFrame, classes: Sequence[str]
    ) -> "GroundTruth":
        """Ground truth of an annotation table whose labels are numbers.

        Args:
            subset: its name.
            videos: ids of its videos; annotations of others are left out.
            annotations: one row each: ``video_id``, ``start_sec``, ``end_sec``, ``label``, which
                is an index of a class.
            classes: names of the classes.

        Raises:
            AnnotationError: a label is no index of a class.
        """
        chosen = annotations[annotations["video_id"].isin(list(videos))]
        wrong = chosen[~chosen["label"].between(0, len(classes) - 1)]
        if len(wrong):
            raise AnnotationError(
                f"ground truth of {subset!r}: label of an annotation of "
                f"{wrong['video_id'].iloc[0]!r} is {wrong['label'].iloc[0]}; "
                f"expected 0 to {len(classes) - 1}"
            )
        names = [classes[label] for label in chosen["label"]]
        segments = chosen.assign(label=pd.Series(names, chosen.index, dtype="str"))
        return cls(subset, tuple(videos), segments[list(SEGMENT_COLUMNS)].reset_index(drop=True))

    @classmethod
    def unannotated(cls, duration_sec: Mapping[str, float]) -> "GroundTruth":
        """Videos of which nobody said what happens in them.

        Args:
            duration_sec: of each.
        """
        return cls("", tuple(duration_sec), _table_of([]), duration_sec)

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes that occur, in order of their first annotations."""
        return tuple(self.segments["label"].unique())


class _Annotation(Document):
    label: Label
    segment: SegmentSec


class _Video(Document):
    subset: str
    annotations: list[_Annotation]
    duration: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None


class _Database(Document):
    database: dict[str, _Video]


def read_ground_truth(path: Path, subset: str | None = None) -> GroundTruth:
    """Read the annotations of one subset.

    Args:
        path: the file.
        subset: its name in the file; by default the file's only one, or ``test``.

    Raises:
        AnnotationError: the file is not such a file, has no such subset, or has several, none of
            them called ``test``; names the field and the value.
    """
    document = read_document(
        path,
        _Database,
        "ground truth as ActivityNet has it: {'database': {video: {'subset', 'annotations'}}}",
    )
    subset = _choose_subset(path, Counter(v.subset for v in document.database.values()), subset)
    chosen = {name: video for name, video in document.database.items() if video.subset == subset}
    rows = [
        (video_id, annotation.label, *annotation.segment)
        for video_id, video in chosen.items()
        for annotation in video.annotations
    ]
    if not rows:
        raise AnnotationError(
            f"{path}: the {len(chosen)} videos of subset {subset!r} have no annotation; "
            "expected at least one"
        )
    segments = _table_of(rows)
    durations = {
        name: video.duration for name, video in chosen.items() if video.duration is not None
    }
    return GroundTruth(subset, tuple(chosen), segments, durations)


def _table_of(rows: Sequence[tuple[str, str, float, float]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=list(SEGMENT_COLUMNS)).astype(
        {"video_id": "str", "label": "str", "start_sec": float, "end_sec": float}
    )


def _choose_subset(path: Path, num_videos: Mapping[str, int], subset: str | None) -> str:
    if not num_videos:
        raise AnnotationError(f"{path}: field 'database' is empty; expected at least one video")
    if subset is None and len(num_videos) == 1:
        return next(iter(num_videos))
    chosen = subset or DEFAULT_SUBSET
    if chosen not in num_videos:
        listed = ", ".join(f"{name!r} ({count} videos)" for name, count in num_videos.items())
        asked = f"no video is of subset {chosen!r}" if subset else "there are several subsets"
        raise AnnotationError(f"{path}: {asked}; expected one of {listed}")
    return chosen


def write_ground_truth(path: Path, *subsets: GroundTruth) -> None:
    """Write annotations as ActivityNet has them, wholly or not at all.

    Args:
        path: where to write; its folder must exist.
        subsets: what to write, one or several subsets.

    Raises:
        AnnotationError: a video is in two subsets; the file has room for one.
        OSError: the file cannot be written.
    """
    database: dict[str, dict[str, object]] = {}
    for truth in subsets:
        for video_id, video in _videos_of(truth).items():
            if video_id in database:
                raise AnnotationError(
                    f"{path}: video {video_id!r} is in subset {database[video_id]['subset']!r} "
                    f"and in {truth.subset!r}; expected it in one"
                )
            database[video_id] = video
    text = json.dumps({"database": database}, ensure_ascii=False, allow_nan=False)
    replace_file(path, text.encode() + b"\n")


def _videos_of(truth: GroundTruth) -> dict[str, dict[str, object]]:
    """The entry of each video of a subset."""
    annotations: dict[str, list[dict[str, object]]] = {name: [] for name in truth.videos}
    columns = (truth.segments[name].tolist() for name in SEGMENT_COLUMNS)
    for video_id, label, start_sec, end_sec in zip(*columns, strict=True):
        annotations[video_id].append({"label": label, "segment": [start_sec, end_sec]})
    videos: dict[str, dict[str, object]] = {}
    for video_id in truth.videos:
        videos[video_id] = {"subset": truth.subset, "annotations": annotations[video_id]}
        if video_id in truth.duration_sec:
            videos[video_id]["duration"] = truth.duration_sec[video_id]
    return videos
