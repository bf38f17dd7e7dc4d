"""Checks against what is known of a dataset: descriptor, annotations, lists."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from featkd.manifest import (
    AnnotationHeader,
    Annotations,
    ListedClip,
    ListedSegment,
    Listing,
    Manifest,
    ManifestHeader,
    Problem,
    Remark,
    check_annotations,
    check_descriptor,
    check_listing,
    read_listing,
    shipped_descriptor,
)
from featkd.manifest.list_files import csv_rows


def _manifest(
    rows: Sequence[dict[str, object]], classes: Sequence[str], protocol: str = "by hand"
) -> Manifest:
    """Rows of 100 frames at 10 frames per second, with what a test says of them."""
    header = ManifestHeader(
        dataset="d", version="1", classes=classes, protocol=protocol, source="s", licence="l"
    )
    common = {
        "split": "train", "start_sec": 0.0, "end_sec": None, "num_frames": 100, "fps": 10.0,
        "width": 32, "height": 32, "group": None, "sha256": None,
    }  # fmt: skip
    full = [
        {
            **common,
            "path": f"{row['video_id']}.mp4",
            "label": list(classes).index(str(row["class_name"])),
            **row,
        }
        for row in rows
    ]
    return Manifest(header, pd.DataFrame(full), Path())


def _fields(problems: Sequence[Problem]) -> list[tuple[str, str]]:
    return [(problem.severity, problem.field) for problem in problems]


def test_check_descriptor__counts_of_the_fold() -> None:
    descriptor = shipped_descriptor("hmdb51")
    row = {"video_id": "a", "class_name": "run", "split": "test"}
    other = {"video_id": "b", "class_name": "run"}
    manifest = _manifest([row, other], descriptor.classes, descriptor.protocol_of("2"))
    problems = check_descriptor(manifest, descriptor)
    assert _fields(problems) == [("warning", "split")] * 2
    assert problems[0].message == "split 'train' has 1 rows; expected 3570, as fold 2 of hmdb51 has"
    drawn = _manifest([row, other], descriptor.classes, "drawn by myself")
    assert check_descriptor(drawn, descriptor) == []


def test_check_descriptor__right_counts_are_no_problem() -> None:
    descriptor = shipped_descriptor("thumos14").model_copy(
        update={"folds": {"1": {"train": 1, "test": 1}}, "num_segments": {"train": 2, "test": 1}}
    )
    rows = [
        {"video_id": "a", "class_name": "Diving"},
        {"video_id": "b", "class_name": "HighJump", "split": "test"},
    ]
    manifest = _manifest(rows, descriptor.classes, descriptor.protocol)
    segments = [ListedSegment(name, 1.0, 2.0, "Diving") for name in "aab"]
    header = AnnotationHeader(dataset="d", classes=descriptor.classes)
    annotations = Annotations.of_segments(header, segments)
    assert check_descriptor(manifest, descriptor, annotations) == []
    (problem,) = check_descriptor(
        manifest, descriptor, Annotations.of_segments(header, segments[1:])
    )
    assert "has 1 segments; expected 2" in problem.message


@pytest.mark.parametrize(
    ("classes", "fields"),
    [
        (("boxing", "handclapping"), []),
        (("boxing", "handwaving"), ["warning"]),
        (("handclapping", "boxing"), ["error"]),
        (("boxing", "handclapping", "skating"), ["error"]),
    ],
)
def test_check_descriptor__other_classes(classes: tuple[str, ...], fields: list[str]) -> None:
    manifest = _manifest([{"video_id": "a", "class_name": "boxing"}], classes)
    problems = check_descriptor(manifest, shipped_descriptor("kth"))
    assert _fields(problems) == [(severity, "classes") for severity in fields]


CLASSES = ("run", "jump")


def _annotated(*segments: tuple[str, float, float, int]) -> Annotations:
    table = pd.DataFrame(segments, columns=["video_id", "start_sec", "end_sec", "label"])
    return Annotations(AnnotationHeader(dataset="d", classes=CLASSES), table)


@pytest.mark.parametrize(
    ("segment", "severity", "field", "words"),
    [
        (("a", -1.0, 1.0, 0), "error", "start_sec", "0 or more"),
        (("a", 2.0, 2.0, 0), "error", "end_sec", "more than start_sec, 2.0"),
        (("a", 3.0, 2.0, 0), "error", "end_sec", "more than start_sec, 3.0"),
        (("a", 10.0, 11.0, 0), "error", "start_sec", "the video is 10.00 s long"),
        (("a", 9.0, 10.3, 0), "warning", "end_sec", "at most its length"),
        (("a", 1.0, 2.0, 2), "error", "label", "0 to 1"),
        (("x", 1.0, 2.0, 1), "error", "video_id", "a row of the manifest"),
        (("a", 0.0, 1.0, 0), "error", "start_sec", "not there twice"),
    ],
)
def test_check_annotations__one_bad_segment(
    segment: tuple[str, float, float, int], severity: str, field: str, words: str
) -> None:
    rows = [{"video_id": name, "class_name": "run"} for name in "ab"]
    manifest = _manifest(rows, CLASSES)
    sound = [("a", 0.0, 1.0, 0), ("a", 0.0, 1.0, 1), ("b", 9.0, 10.05, 1)]
    assert check_annotations(_annotated(*sound), manifest) == []
    (problem,) = check_annotations(_annotated(*sound, segment), manifest)
    assert (problem.severity, problem.field, problem.row) == (severity, field, 3)
    assert words in problem.expected


def test_check_annotations__video_without_segments_and_unreadable_video() -> None:
    rows = [
        {"video_id": "a", "class_name": "run"},
        {"video_id": "b", "class_name": "run", "num_frames": 0},
    ]
    (problem,) = check_annotations(_annotated(("b", 50.0, 60.0, 0)), _manifest(rows, CLASSES))
    assert (problem.severity, problem.video_id) == ("warning", "a")


def test_check_annotations__other_classes() -> None:
    manifest = _manifest([{"video_id": "a", "class_name": "run"}], ("jump", "run"))
    (problem,) = check_annotations(_annotated(("a", 0.0, 1.0, 0)), manifest)
    assert (problem.severity, problem.field) == ("error", "classes")


@pytest.fixture
def thumos14(shared_data: Path) -> tuple[Manifest, Annotations, Listing]:
    """The manifest of THUMOS14 as it is with all videos; lengths as its lists give them."""
    folder = shared_data / "annotations" / "thumos14"
    descriptor = shipped_descriptor("thumos14")
    listing = read_listing([folder], descriptor)
    length = {
        row["video"]: {"num_frames": round(float(row["count"])), "fps": float(row["fps"])}
        for name in ("val", "test")
        for _, row in csv_rows(folder / f"{name}_video_info.csv", "video", "count", "fps")
    }
    rows = [
        {"video_id": clip.path, "class_name": clip.class_name, "split": clip.split}
        | length[clip.path]
        for clip in listing.clips
    ]
    manifest = _manifest(rows, descriptor.classes, descriptor.protocol)
    header = AnnotationHeader(dataset="thumos14", classes=descriptor.classes)
    return manifest, Annotations.of_segments(header, listing.segments), listing


def test_thumos14__dirty_rows_are_reported(
    thumos14: tuple[Manifest, Annotations, Listing],
) -> None:
    manifest, annotations, listing = thumos14
    assert check_descriptor(manifest, shipped_descriptor("thumos14"), annotations) == []
    outside = check_annotations(annotations, manifest)
    assert {problem.severity for problem in outside} == {"error"}
    videos = pd.Series([problem.video_id for problem in outside]).value_counts().to_dict()
    assert videos == {
        "video_validation_0000364": 2,
        "video_validation_0000856": 2,
        "video_test_0000270": 22,
        "video_test_0000814": 3,
        "video_test_0001081": 1,
    }
    remarks = check_listing(manifest, listing, annotations)
    assert {(problem.severity, problem.field) for problem in remarks} == {("warning", "lists")}
    told = " ".join(problem.message for problem in remarks)
    for words in (
        "89 ambiguous",
        "99 ambiguous",
        "video_test_0001292 has only ambiguous",
        "video_validation_0000666 has frame numbers up to 3288 frames off",
    ):
        assert words in told


def test_check_listing__what_differs() -> None:
    rows = [{"video_id": name, "class_name": "run"} for name in "abc"]
    manifest = _manifest(rows, CLASSES)
    annotations = _annotated(("a", 0.0, 1.0, 0), ("b", 0.0, 1.0, 0))
    listing = Listing(
        (
            ListedClip("a.avi", "run", "train"),
            ListedClip("b.mp4", "jump", "test"),
            ListedClip("d.mp4", "run", "train"),
        ),
        (ListedSegment("a", 0.0, 1.0, "run"), ListedSegment("b", 0.0, 2.0, "run")),
        (Remark("x.txt", "is odd"),),
    )
    problems = check_listing(manifest, listing, annotations)
    assert [(one.severity, one.field, one.video_id) for one in problems] == [
        ("warning", "lists", None),
        ("error", "class_name", "b"),
        ("error", "split", "b"),
        ("warning", "video_id", "c"),
        ("warning", "path", None),
        ("error", "start_sec", "b"),
        ("error", "start_sec", "b"),
    ]
    assert problems[0].message == "x.txt is odd"
    assert "d.mp4 is listed" in problems[4].message
    first = replace(manifest, table=manifest.table.iloc[:1])
    assert check_listing(first, Listing(listing.clips[:1])) == []
