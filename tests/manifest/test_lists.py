"""Small lists of every form."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from featkd.errors import ManifestError, UsageError
from featkd.manifest import (
    LIST_FORMATS,
    ListedSegment,
    Listing,
    describe_dataset,
    described_datasets,
    read_listing,
    shipped_descriptor,
)

Write = Callable[..., Path]

_HEADER = "label,youtube_id,time_start,time_end,split"


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a file of lines and gives its path."""

    def write(name: str, *lines: str) -> Path:
        path = tmp_path / "lists" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("\r\n".join(lines) + "\r\n", encoding="utf-8")
        return path

    return write


def _read(path: Path, form: str, classes: tuple[str, ...] = ("run", "wave hands")) -> Listing:
    descriptor = describe_dataset("mine", classes=classes, lists=form)
    return read_listing([path], descriptor)


def _facts(listing: Listing) -> list[tuple[str, str, str]]:
    return [(clip.path, clip.class_name, clip.split) for clip in listing.clips]


def test_list_formats__every_descriptor_names_one() -> None:
    forms = {shipped_descriptor(name).lists for name in described_datasets()}
    assert forms - {None} <= set(LIST_FORMATS)
    assert set(LIST_FORMATS) - forms == {"paths", "frames"}


@pytest.mark.parametrize(
    ("lines", "path", "class_name"),
    [
        (("a.mp4 0",), "a.mp4", "run"),
        (("a.mp4,0",), "a.mp4", "run"),
        (("a.mp4, wave hands",), "a.mp4", "wave hands"),
        (("a b.mp4 1",), "a b.mp4", "wave hands"),
        (("a b.mp4,1",), "a b.mp4", "wave hands"),
        (("a b, c.mp4 1",), "a b, c.mp4", "wave hands"),
        (("a.mp4 RUN",), "a.mp4", "run"),
        (("", "a.mp4 0"), "a.mp4", "run"),
    ],
)
def test_paths__line(write: Write, lines: tuple[str, ...], path: str, class_name: str) -> None:
    assert _facts(_read(write("train.csv", *lines), "paths")) == [(path, class_name, "train")]


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("train.csv", "train"),
        ("ucf101_val_split_1_videos.txt", "val"),
        ("testlist01.txt", "test"),
        ("k400_validation.txt", "val"),
        ("trainlist.txt", "train"),
    ],
)
def test_paths__split_is_in_the_name(write: Write, name: str, split: str) -> None:
    assert _facts(_read(write(name, "a.mp4 0"), "paths"))[0][2] == split


@pytest.mark.parametrize("name", ["contest.txt", "all.csv", "train_and_test.txt"])
def test_paths__name_without_a_split(write: Write, name: str) -> None:
    with pytest.raises(ManifestError, match="one of the words train, val or test"):
        _read(write(name, "a.mp4 0"), "paths")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("a.mp4 2", "label is 2; expected 0 to 1"),
        ("a.mp4,walk", "class is 'walk'; expected one of run, wave hands"),
        ("a.mp4", "expected a path and a label"),
    ],
)
def test_paths__wrong_line_is_named(write: Write, line: str, words: str) -> None:
    path = write("train.txt", "b.mp4 0", line)
    with pytest.raises(ManifestError) as caught:
        _read(path, "paths")
    assert f"{path}: line 2" in str(caught.value)
    assert words in str(caught.value)


def test_frames__count_is_kept(write: Write) -> None:
    listing = _read(write("train.txt", "run/a b 72 1"), "frames")
    assert _facts(listing) == [("run/a b", "wave hands", "train")]
    assert listing.clips[0].num_frames == 72
    with pytest.raises(ManifestError, match="a path, a number of frames and a label"):
        _read(write("val.txt", "run/a 1"), "frames")


def test_classes__that_differ_in_case_alone_are_told_apart(write: Write) -> None:
    classes = ("Jump", "jump")
    path = write("train.csv", "a.mp4,jump", "b.mp4,Jump")
    assert [clip.class_name for clip in _read(path, "paths", classes).clips] == ["jump", "Jump"]
    with pytest.raises(ManifestError, match="expected 'Jump' or 'jump'"):
        _read(write("train.csv", "a.mp4,JUMP"), "paths", classes)


def test_kinetics__names_and_splits(write: Write) -> None:
    path = write(
        "k.csv",
        "label,youtube_id,time_start,time_end,split,is_cc",
        '"answering questions",-a_b,1,11,train,0',
        "archery,cd,8.0,18.0,validate,1",
    )
    listing = read_listing([path], shipped_descriptor("kinetics400"))
    assert _facts(listing) == [
        ("-a_b_000001_000011.mp4", "answering questions", "train"),
        ("cd_000008_000018.mp4", "archery", "val"),
    ]
    assert [clip.group for clip in listing.clips] == ["-a_b", "cd"]


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (("label,youtube_id,time_start,split",), "no column 'time_end'"),
        (
            ("label,youtube_id,time_start,time_end,split", "archery,a,x,2,train"),
            "time_start is 'x'",
        ),
        ((_HEADER, "archery,a,1,2,dev"), "split is 'dev'"),
        ((_HEADER, "archery,a,1"), "has no 'time_end'"),
    ],
)
def test_kinetics__wrong_row(write: Write, lines: tuple[str, ...], words: str) -> None:
    with pytest.raises(ManifestError, match=words):
        read_listing([write("k.csv", *lines)], shipped_descriptor("kinetics400"))


@pytest.fixture
def something(write: Write) -> Path:
    """The three files of Something-Something v2, with all classes and two clips."""
    classes = shipped_descriptor("something_something_v2").classes
    template = {"id": "7", "label": "x", "template": "Holding [something] next to [something]"}
    write("labels.json", json.dumps({name: str(label) for label, name in enumerate(classes)}))
    write("train.json", json.dumps([template]))
    return write("validation.json", json.dumps([template | {"id": "8"}])).parent


def test_something_something__templates(something: Path) -> None:
    listing = read_listing([something], shipped_descriptor("something_something_v2"))
    name = "Holding something next to something"
    assert _facts(listing) == [("7.webm", name, "train"), ("8.webm", name, "val")]


def test_something_something__labels_in_another_order(something: Path) -> None:
    content = json.loads((something / "labels.json").read_text("utf-8"))
    first, second = list(content)[:2]
    content |= {first: "1", second: "0"}
    (something / "labels.json").write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(ManifestError, match="class 0 is 'Attaching something to something'"):
        read_listing([something], shipped_descriptor("something_something_v2"))


def test_activitynet__majority_and_segments(write: Write) -> None:
    def video(subset: str, *annotations: tuple[str, float, float]) -> dict[str, object]:
        listed = [{"label": name, "segment": [start, end]} for name, start, end in annotations]
        return {"subset": subset, "duration": 60.0, "annotations": listed}

    database = {
        "ab": video("training", ("Archery", 0, 2.5), ("Surfing", 3, 4), ("Surfing", 5, 6)),
        "cd": video("validation", ("Zumba", 1, 2)),
        "ef": video("testing"),
    }
    path = write("activity_net.v1-3.min.json", json.dumps({"database": database}))
    listing = read_listing([path], shipped_descriptor("activitynet"))
    assert _facts(listing) == [("v_ab", "Surfing", "train"), ("v_cd", "Zumba", "val")]
    assert listing.segments[0] == ListedSegment("ab", 0.0, 2.5, "Archery")
    assert len(listing.segments) == 4
    assert "1 videos without segments" in listing.remarks[0].message


@pytest.mark.parametrize("content", ["[]", "{}", '{"database": []}', '{"database": {"a": 1}}', "{"])
def test_activitynet__not_of_its_form(write: Write, content: str) -> None:
    path = write("a.json", content)
    with pytest.raises(ManifestError, match=r"a\.json"):
        read_listing([path], shipped_descriptor("activitynet"))


def test_hmdb51__line_without_a_number(write: Write) -> None:
    path = write("brush_hair_test_split1.txt", "a.avi")
    with pytest.raises(ManifestError, match="expected a file and 0, 1 or 2"):
        read_listing([path], shipped_descriptor("hmdb51"))


def test_ucf101__label_of_another_class(write: Write) -> None:
    classes = shipped_descriptor("ucf101").classes
    write("classInd.txt", *(f"{number} {name}" for number, name in enumerate(classes, start=1)))
    write("testlist01.txt", "Archery/v_Archery_g01_c01.avi")
    path = write("trainlist01.txt", "Archery/v_Archery_g08_c01.avi 4")
    with pytest.raises(ManifestError, match="label is 4; expected 3, that of Archery"):
        read_listing([path.parent], shipped_descriptor("ucf101"))


def test_read_listing__what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="does not exist"):
        read_listing([tmp_path / "absent"], shipped_descriptor("ucf101"))
    with pytest.raises(ManifestError, match=r"no file classInd\.txt"):
        read_listing([tmp_path], shipped_descriptor("ucf101"))
    with pytest.raises(UsageError, match="fold of ucf101 is '4'; expected one of 1, 2, 3"):
        read_listing([tmp_path], shipped_descriptor("ucf101"), fold="4")
    with pytest.raises(UsageError, match="form None"):
        read_listing([tmp_path], shipped_descriptor("synthetic_actions"))
    with pytest.raises(UsageError, match="'mine' has no descriptor"):
        describe_dataset("mine")
