"""THUMOS14's detection task as AFSD's files describe it.

THUMOS14: Idrees et al., "The THUMOS challenge on action recognition for videos in the wild" (2017).
AFSD: Lin et al., "Learning Salient Boundary Feature for Anchor-free Temporal Action Localization"
(CVPR 2021).

Annotations: ``video,type,type_idx,start,end,startFrame,endFrame``, seconds and frames of the
original video. Videos: ``video,fps,sample_fps,count,sample_count``.
"""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, PositiveFloat, ValidationError

from featkd.detection.windows import AnnotatedVideo
from featkd.errors import AnnotationError
from featkd.manifest.schema import explain

AMBIGUOUS = "Ambiguous"
TimeColumns = Literal["frames", "seconds"]


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class _Annotation(_Row):
    video: str = Field(min_length=1)
    type: str
    start: FiniteFloat
    end: FiniteFloat
    start_frame: Annotated[FiniteFloat, Field(alias="startFrame")]
    end_frame: Annotated[FiniteFloat, Field(alias="endFrame")]


class _Video(_Row):
    video: str = Field(min_length=1)
    fps: PositiveFloat
    sample_fps: PositiveFloat
    count: PositiveFloat
    sample_count: Annotated[int, Field(gt=0)]


AnyRow = TypeVar("AnyRow", bound=_Row)


def read_class_index(path: Path) -> tuple[str, ...]:
    """Names of the classes, from lines ``7 BaseballPitch``; their labels count from 1.

    Raises:
        AnnotationError: the file does not exist, or a line is not like that.
    """
    names = []
    for number, line in enumerate(_read_lines(path), start=1):
        words = line.split()
        if len(words) != 2 or not words[0].isdecimal():
            raise AnnotationError(
                f"{path}: line {number} is {line[:60]!r}; expected a number and a class name"
            )
        names.append(words[1])
    return tuple(names)


def read_thumos14(
    annotations: Path,
    video_info: Path,
    classes: tuple[str, ...],
    times: TimeColumns = "frames",
) -> list[AnnotatedVideo]:
    """Read the videos of one split, in the order of their list.

    Rows of the type ``Ambiguous`` are left out, as everyone leaves them out.

    Args:
        annotations: CSV file of the split's annotations.
        video_info: CSV file of its videos.
        classes: names in the order of the labels, which count from 1.
        times: which columns say when: ``frames``, as AFSD reads them, or ``seconds``. Frames were
            numbered at 30 per second in some videos of other rates, which seconds put right.

    Raises:
        AnnotationError: a file, line or value is wrong; names it.
    """
    rows_of = _annotations_by_video(annotations, classes)
    videos: dict[str, AnnotatedVideo] = {}
    for line, video in _read_rows(video_info, _Video):
        if video.video in videos:
            raise AnnotationError(
                f"{video_info}: line {line}: field 'video' is {video.video!r} again; "
                "expected each video once"
            )
        rows = rows_of.pop(video.video, [])
        ratio = video.sample_count / video.count
        scale = ratio if times == "frames" else video.fps * ratio
        spans = [_span(row, times, f"{annotations}: line {number}") for number, row in rows]
        labels = [classes.index(row.type) + 1 for _, row in rows]
        videos[video.video] = AnnotatedVideo(
            video_id=video.video,
            num_frames=video.sample_count,
            sample_fps=video.sample_fps,
            segments=np.array(spans, dtype=float).reshape(-1, 2) * scale,
            labels=np.array(labels, dtype=np.int64),
        )
    if rows_of:
        video_id, rows = next(iter(rows_of.items()))
        raise AnnotationError(
            f"{annotations}: line {rows[0][0]}: field 'video' is {video_id!r}; "
            f"expected a video of {video_info}"
        )
    return list(videos.values())


def _annotations_by_video(
    path: Path, classes: tuple[str, ...]
) -> dict[str, list[tuple[int, _Annotation]]]:
    """Annotations of each video with their line numbers, without ambiguous ones."""
    rows_of: dict[str, list[tuple[int, _Annotation]]] = {}
    for line, row in _read_rows(path, _Annotation):
        if row.type == AMBIGUOUS:
            continue
        if row.type not in classes:
            raise AnnotationError(
                f"{path}: line {line}: field 'type' is {row.type!r}; "
                f"expected one of the {len(classes)} classes or {AMBIGUOUS!r}"
            )
        rows_of.setdefault(row.video, []).append((line, row))
    return rows_of


def _span(row: _Annotation, times: TimeColumns, place: str) -> tuple[float, float]:
    span = (row.start_frame, row.end_frame) if times == "frames" else (row.start, row.end)
    if span[0] >= span[1]:
        raise AnnotationError(
            f"{place}: the annotation lasts from {span[0]:g} to {span[1]:g} ({times}); "
            "expected start < end"
        )
    return span


def _read_rows(path: Path, model: type[AnyRow]) -> Iterator[tuple[int, AnyRow]]:
    """Number and content of each line below the header."""
    reader = csv.DictReader(_read_lines(path))
    for row in reader:
        try:
            yield reader.line_num, model.model_validate(row)
        except ValidationError as error:
            raise AnnotationError(f"{path}: line {reader.line_num}: {explain(error)}") from error


def _read_lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError as error:
        raise AnnotationError(f"{path} does not exist; expected a file of THUMOS14") from error
    except UnicodeDecodeError as error:
        raise AnnotationError(f"{path} is not UTF-8 text; expected a file of THUMOS14") from error
