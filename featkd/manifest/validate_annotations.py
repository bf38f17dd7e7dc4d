"""Looks for what is wrong with the segments of a manifest for detection."""

from collections.abc import Iterator
from functools import partial
from typing import Literal

from featkd.manifest.annotations import Annotations
from featkd.manifest.manifest import Manifest
from featkd.manifest.problem import Problem

# A segment may end a frame behind the last one: times in lists are rounded.
_ROUNDING_SEC = 0.1


def check_annotations(annotations: Annotations, manifest: Manifest) -> list[Problem]:
    """Check every segment against the manifest; no file is touched.

    Errors: classes other than the manifest's; a segment of an unknown video, of no class, that ends
    before it begins, begins before its video, or lies wholly behind its end; one that is there
    twice. Warnings: a segment that runs past the end of its video; a video without segments. The
    length of a video is num_frames / fps of its row; an unreadable video has none.
    """
    header = annotations.header
    if header.classes != manifest.header.classes:
        message = (
            f"annotations have {len(header.classes)} classes, the manifest has "
            f"{len(manifest.header.classes)}, or in another order; expected the same classes"
        )
        return [Problem("error", None, None, "classes", "other classes", "the same", message)]
    rows = manifest.select(["video_id", "num_frames", "fps", "start_sec"])
    duration_sec = {
        video: frames / fps if frames > 0 and fps > 0 else None
        for video, frames, fps in zip(
            rows["video_id"], rows["num_frames"], rows["fps"], strict=True
        )
    }
    seen: set[tuple[str, float, float, int]] = set()
    problems = []
    columns = (annotations.table[name].tolist() for name in annotations.table.columns)
    for row, segment in enumerate(zip(*columns, strict=True)):
        video, start_sec, end_sec, label = segment
        problem = partial(_problem, row, video)
        if segment in seen:
            problems.append(problem("start_sec", start_sec, "a segment that is not there twice"))
        seen.add(segment)
        if not 0 <= label < len(header.classes):
            problems.append(problem("label", label, f"0 to {len(header.classes) - 1}"))
        if video not in duration_sec:
            problems.append(problem("video_id", video, "the video_id of a row of the manifest"))
            continue
        problems += _times(problem, start_sec, end_sec, duration_sec[video])
    return [*problems, *_without_segments(annotations, manifest)]


def _times(
    problem: "partial[Problem]", start_sec: float, end_sec: float, duration_sec: float | None
) -> Iterator[Problem]:
    if start_sec < 0:
        yield problem("start_sec", start_sec, "0 or more")
    if end_sec <= start_sec:
        yield problem("end_sec", end_sec, f"more than start_sec, {start_sec}")
    if duration_sec is None:
        return
    length = f"the video is {duration_sec:.2f} s long"
    if start_sec >= duration_sec:
        yield problem("start_sec", start_sec, f"a segment inside its video; {length}")
    elif end_sec > duration_sec + _ROUNDING_SEC:
        yield problem("end_sec", end_sec, f"at most its length; {length}", severity="warning")


def _problem(
    row: int,
    video: str,
    field: str,
    value: object,
    expected: str,
    severity: Literal["error", "warning"] = "error",
) -> Problem:
    message = f"segment {row} of video {video!r}: {field} is {value!r}; expected {expected}"
    return Problem(severity, row, video, field, str(value), expected, message)


def _without_segments(annotations: Annotations, manifest: Manifest) -> Iterator[Problem]:
    annotated = set(annotations.table["video_id"])
    for row, video in enumerate(manifest.select(["video_id"])["video_id"]):
        if video not in annotated:
            message = f"row {row}, video {video!r}: has no segment; expected at least one"
            yield Problem("warning", row, video, "video_id", video, "at least 1 segment", message)
