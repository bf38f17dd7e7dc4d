from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from featkd.errors import ManifestError
from featkd.manifest import (
    AnnotationHeader,
    Annotations,
    ListedSegment,
    annotations_path,
    read_annotations,
    write_annotations,
)

HEADER = AnnotationHeader(dataset="tiny", classes=("run", "jump, high"))
_SECONDS = st.floats(0.0, 1e5)
_SEGMENTS = st.builds(
    ListedSegment,
    st.text("ab_é,\"' -1", min_size=1).filter(str.strip),
    _SECONDS,
    _SECONDS,
    st.sampled_from(HEADER.classes),
)


@settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(_SEGMENTS, max_size=5))
def test_annotations__round_trip(tmp_path: Path, segments: list[ListedSegment]) -> None:
    annotations = Annotations.of_segments(HEADER, segments)
    write_annotations(annotations, tmp_path / "a.csv")
    back = read_annotations(tmp_path / "a.csv")
    assert back.header == HEADER
    pd.testing.assert_frame_equal(back.table, annotations.table)


def test_of_segments__sorted_with_labels() -> None:
    segments = [
        ListedSegment("b", 1.0, 2.0, "run"),
        ListedSegment("a", 3.0, 4.0, "jump, high"),
        ListedSegment("a", 0.5, 4.0, "run"),
    ]
    table = Annotations.of_segments(HEADER, segments).table
    expected = [["a", 0.5, 4.0, 0], ["a", 3.0, 4.0, 1], ["b", 1.0, 2.0, 0]]
    assert table.to_numpy().tolist() == expected


@pytest.mark.parametrize("name", ["m.csv", "m.parquet"])
def test_annotations_path__beside_the_manifest(name: str) -> None:
    assert annotations_path(Path("x") / name) == Path("x") / "m.annotations.csv"


_FIRST = f"# featkd-annotations {HEADER.model_dump_json()}\n"
_NAMES = "video_id,start_sec,end_sec,label\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (_NAMES, "line 1 is 'video_id"),
        ("# featkd-annotations {}\n", "field 'dataset' is missing"),
        (_FIRST.replace("annotations/1", "annotations/2"), "field 'format'"),
        (_FIRST + "video_id,start_sec,label\n", "line 2 names no column 'end_sec'"),
        (_FIRST + _NAMES + "a,0,1,0\na,x,2,0\n", "line 4: start_sec is 'x'"),
        (_FIRST + _NAMES + "a,0,inf,0\n", "line 3: end_sec is 'inf'"),
        (_FIRST + _NAMES + "a,0,1,run\n", "line 3: label is 'run'"),
        (_FIRST + _NAMES + "a,0,1\n", "line 3 has no 'label'"),
    ],
)
def test_read_annotations__wrong_file(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ManifestError) as caught:
        read_annotations(path)
    assert str(path) in str(caught.value)
    assert words in str(caught.value)


def test_annotations__files_that_cannot_be_had(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="cannot be read"):
        read_annotations(tmp_path / "absent.csv")
    with pytest.raises(ManifestError, match="cannot be written"):
        write_annotations(Annotations.of_segments(HEADER, []), tmp_path / "absent" / "a.csv")
