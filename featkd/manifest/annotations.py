"""The annotation table of a manifest for detection: which action happens when, in which video."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from pydantic import Field, ValidationError

from featkd.durable import replace_file
from featkd.errors import ManifestError
from featkd.manifest.list_files import csv_rows, seconds
from featkd.manifest.listing import ListedSegment
from featkd.manifest.schema import ClassNames, explain
from featkd.manifest.text_file import read_text
from featkd.spec import Spec

ANNOTATION_COLUMNS = ("video_id", "start_sec", "end_sec", "label")
_MARK = "# featkd-annotations "


class AnnotationHeader(Spec):
    """What holds for every segment of an annotation table.

    Attributes:
        dataset: name of the dataset, as in the manifest.
        classes: class names; the position of a class is its label.
        format: name and version of the file format.
    """

    dataset: str = Field(min_length=1)
    classes: ClassNames
    format: Literal["featkd-annotations/1"] = "featkd-annotations/1"


@dataclass(frozen=True, eq=False)
class Annotations:
    """Annotated segments of the videos of a manifest.

    What is wrong with them is not refused here: `featkd.manifest.check_annotations` tells.

    Attributes:
        header: what holds for every segment.
        table: one row per segment, with the columns `ANNOTATION_COLUMNS`: name of the video's row
            in the manifest, the segment [start, end) in seconds, index of its class.
    """

    header: AnnotationHeader
    table: pd.DataFrame

    @classmethod
    def of_segments(
        cls, header: AnnotationHeader, segments: Iterable[ListedSegment]
    ) -> "Annotations":
        """The table of listed segments, sorted by video and time."""
        label_of = {name: label for label, name in enumerate(header.classes)}
        rows = sorted(
            (segment.video_id, segment.start_sec, segment.end_sec, label_of[segment.class_name])
            for segment in segments
        )
        return cls(header, _typed(pd.DataFrame(rows, columns=list(ANNOTATION_COLUMNS))))

    @property
    def digest(self) -> str:
        """SHA-256 of header and segments, whatever the order of these."""
        rows = self.table.sort_values(list(ANNOTATION_COLUMNS))
        return hashlib.sha256(_text(Annotations(self.header, rows)).encode()).hexdigest()

    def of_videos(self, video_ids: Iterable[str]) -> "Annotations":
        """The segments of some videos alone."""
        chosen = self.table["video_id"].isin(list(video_ids))
        return Annotations(self.header, self.table[chosen].reset_index(drop=True))


def annotations_path(manifest_path: Path) -> Path:
    """Where the annotations of a manifest lie: beside it, as ``<its name>.annotations.csv``."""
    return manifest_path.with_suffix(".annotations.csv")


def write_annotations(annotations: Annotations, path: Path) -> None:
    """Write an annotation table as CSV, wholly or not at all.

    Raises:
        ManifestError: it cannot be written.
    """
    try:
        replace_file(path, _text(annotations).encode())
    except OSError as error:
        raise ManifestError(f"{path} cannot be written: {error.strerror or error}") from error


def read_annotations(path: Path) -> Annotations:
    """Read an annotation table.

    Raises:
        ManifestError: naming file, line, column, value and what was expected.
    """
    first = read_text(path, "an annotation table").partition("\n")[0]
    if not first.startswith(_MARK):
        raise ManifestError(
            f"{path}: line 1 is {first[:60]!r}; expected {_MARK!r} and the header as JSON"
        )
    try:
        header = AnnotationHeader.model_validate_json(first.removeprefix(_MARK))
    except ValidationError as error:
        raise ManifestError(f"{path}: header of the annotations: {explain(error)}") from error
    rows = [
        (
            row["video_id"],
            seconds(row["start_sec"], "start_sec", place),
            seconds(row["end_sec"], "end_sec", place),
            _label(row["label"], place),
        )
        for place, row in csv_rows(path, *ANNOTATION_COLUMNS, header_line=2)
    ]
    return Annotations(header, _typed(pd.DataFrame(rows, columns=list(ANNOTATION_COLUMNS))))


def _text(annotations: Annotations) -> str:
    header = f"{_MARK}{annotations.header.model_dump_json()}\n"
    return header + str(annotations.table.to_csv(index=False, lineterminator="\n"))


def _label(text: str, place: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ManifestError(
            f"{place}: label is {text!r}; expected the index of a class, from 0"
        ) from None


def _typed(table: pd.DataFrame) -> pd.DataFrame:
    return table.astype(
        {"video_id": str, "start_sec": np.float64, "end_sec": np.float64, "label": np.int64}
    )
