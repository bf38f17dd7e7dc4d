import numpy as np
import pytest

from featkd.detection.thumos14 import read_class_index, read_thumos14
from featkd.detection.windows import WindowSpec, training_windows, window_offsets
from featkd.errors import AnnotationError

ANNOTATIONS = """\
video,type,type_idx,start,end,startFrame,endFrame
v1,Billiards,12,67.5,75.9,2025,2277
v1,Ambiguous,0,1.0,2.0,30,60
v2,Diving,26,1.0,2.0,30,60
"""
VIDEOS = """\
video,fps,sample_fps,count,sample_count
v1,30.0,10.0,5091.0,1697
v2,25.0,10.0,1000.0,400
v3,25.0,10.0,1000.0,400
"""
CLASSES = ("Billiards", "Diving")


@pytest.fixture
def folder(shared_data):
    return shared_data / "annotations" / "thumos14"


@pytest.fixture
def split(folder):
    def read(name, annotations="Annotation_ours", **options):
        classes = read_class_index(folder / "Class_Index_Detection.txt")
        return read_thumos14(
            folder / f"{name}_{annotations}.csv", folder / f"{name}_video_info.csv", classes,
            **options,
        )  # fmt: skip

    return read


def windows_of(videos, **options):
    spec = WindowSpec(**options)
    return [window for video in videos for window in training_windows(video, spec)]


def test_split__of_validation(split):
    windows = windows_of(split("val"))

    assert len(windows) == 7842
    assert sum(len(window.labels) for window in windows) == 22_416
    assert max(len(window.labels) for window in windows) == 26
    assert len({window.video_id for window in windows}) == 196
    first = windows[0]
    assert (first.video_id, first.offset) == ("video_validation_0000051", 510)
    assert first.segments == pytest.approx(np.array([[165.0, 249.0]]))
    assert (first.labels.tolist(), first.shortest_action) == ([3], 27)


def test_split__of_test(split):
    windows = windows_of(split("test"))

    assert len(windows) == 9035
    first = windows[0]
    assert (first.video_id, first.offset) == ("video_test_0000004", 0)
    assert (len(first.labels), first.shortest_action) == (5, 5)


@pytest.mark.parametrize(("name", "expected"), [("val", 1965), ("test", 2284)])
def test_split__at_stride_128(split, name, expected):
    assert len(windows_of(split(name), stride=128)) == expected


def test_inference_windows__of_test(split):
    spec = WindowSpec()
    videos = split("test")

    assert len(videos) == 212
    assert (
        sum(
            len(window_offsets(video.num_frames, spec.num_frames, spec.inference_stride))
            for video in videos
        )
        == 3485
    )


def test_read_thumos14__ambiguous_rows_are_left_out(split):
    for ours, all_rows in zip(split("val"), split("val", "Annotation"), strict=True):
        assert ours.video_id == all_rows.video_id
        assert (ours.segments == all_rows.segments).all()


def test_read_thumos14__seconds_repair_a_video_numbered_at_another_rate(split):
    by_frame, by_second = (
        next(video for video in split("val", times=times) if video.video_id.endswith("666"))
        for times in ("frames", "seconds")
    )

    assert by_frame.segments.mean() / by_second.segments.mean() == pytest.approx(1.2, rel=1e-3)


@pytest.fixture
def written(tmp_path):
    def write(annotations=ANNOTATIONS, videos=VIDEOS):
        (tmp_path / "annotations.csv").write_text(annotations)
        (tmp_path / "videos.csv").write_text(videos)
        return tmp_path / "annotations.csv", tmp_path / "videos.csv"

    return write


def test_read_thumos14__by_hand(written):
    first, second, third = read_thumos14(*written(), CLASSES)

    assert (first.video_id, first.num_frames, first.sample_fps) == ("v1", 1697, 10.0)
    assert first.segments == pytest.approx(np.array([[675.0, 759.0]]))
    assert second.segments == pytest.approx(np.array([[12.0, 24.0]]))
    assert second.labels.tolist() == [2]
    assert third.segments.shape == (0, 2)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("2025", "x", r"annotations\.csv: line 2: field 'startFrame' is 'x'.*number"),
        ("2025", "nan", r"line 2: field 'startFrame' is 'nan'.*finite"),
        ("2277", "2025", r"line 2: the annotation lasts from 2025 to 2025 \(frames\)"),
        ("Diving", "Flying", r"line 4: field 'type' is 'Flying'; expected one of the 2 classes"),
        ("v2,Diving", "v4,Diving", r"line 4: field 'video' is 'v4'; expected a video of .*videos"),
        (",startFrame", ",first", r"line 2: field 'startFrame' is missing"),
    ],
)
def test_read_thumos14__wrong_annotation(written, old, new, message):
    with pytest.raises(AnnotationError, match=message):
        read_thumos14(*written(ANNOTATIONS.replace(old, new)), CLASSES)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("1697", "0", r"videos\.csv: line 2: field 'sample_count' is '0'"),
        ("5091.0", "", r"videos\.csv: line 2: field 'count' is ''"),
        ("30.0", "-1", r"videos\.csv: line 2: field 'fps' is '-1'"),
        ("v2", "v1", r"videos\.csv: line 3: field 'video' is 'v1' again"),
    ],
)
def test_read_thumos14__wrong_video(written, old, new, message):
    with pytest.raises(AnnotationError, match=message):
        read_thumos14(*written(videos=VIDEOS.replace(old, new)), CLASSES)


def test_read_thumos14__no_file(tmp_path):
    with pytest.raises(AnnotationError, match=r"none\.csv does not exist"):
        read_thumos14(tmp_path / "none.csv", tmp_path / "none.csv", CLASSES)


def test_read_class_index__line_ends_of_either_kind(folder, tmp_path):
    names = read_class_index(folder / "Class_Index_Detection.txt")

    assert (len(names), names[0], names[19]) == (20, "BaseballPitch", "VolleyballSpiking")
    (tmp_path / "classes.txt").write_text("7 BaseballPitch\n9 BasketballDunk\n")
    assert read_class_index(tmp_path / "classes.txt") == names[:2]


@pytest.mark.parametrize("line", ["BaseballPitch", "7", "x BaseballPitch", "7 Baseball Pitch", ""])
def test_read_class_index__wrong_line(tmp_path, line):
    (tmp_path / "classes.txt").write_text(f"7 BaseballPitch\n{line}\n8 Diving\n")
    with pytest.raises(AnnotationError, match="line 2 is"):
        read_class_index(tmp_path / "classes.txt")
