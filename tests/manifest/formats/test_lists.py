import json
from collections.abc import Callable
from pathlib import Path

import pytest

from featkd.errors import ManifestError
from featkd.manifest import Manifest
from featkd.manifest.formats import (
    FORMATS,
    MMACTION2,
    PYTORCHVIDEO,
    as_whole_files,
    export_manifest,
    left_out,
)

Write = Callable[..., Path]


@pytest.fixture
def lists(tmp_path: Path) -> Write:
    """Writes files below a folder and gives the folder."""

    def write(**contents: str) -> Path:
        for name, content in contents.items():
            (tmp_path / name.replace("__", ".")).write_text(content, encoding="utf-8")
        return tmp_path

    return write


def test_write__files_are_as_others_read_them(manifest_of: Callable, tmp_path: Path) -> None:
    manifest = manifest_of(
        [
            {"path": "run/a b.mp4"},
            {"path": "jump/c.mp4", "class_name": "jump high", "split": "val"},
        ]
    )
    folder = tmp_path / "lists"
    export_manifest(manifest, PYTORCHVIDEO, folder)
    assert sorted(path.name for path in folder.iterdir()) == [
        "class_names.json", "train.csv", "val.csv",
    ]  # fmt: skip
    assert (folder / "train.csv").read_text() == "run/a b.mp4 0\n"
    assert json.loads((folder / "class_names.json").read_text()) == {"run": 0, "jump high": 1}
    with pytest.raises(ManifestError, match=r"'run/a b.mp4', which mmaction2 cannot hold"):
        export_manifest(manifest, MMACTION2, tmp_path / "mm")
    table = manifest.table.assign(path=["run/a.mp4", "jump/c.mp4"])
    export_manifest(Manifest(manifest.header, table, tmp_path), MMACTION2, tmp_path / "mm")
    assert (tmp_path / "mm" / "val_list_videos.txt").read_text() == "jump/c.mp4 1\n"
    assert (tmp_path / "mm" / "label_map.txt").read_text() == "run\njump high\n"


def test_left_out__names_what_says_something(manifest_of: Callable) -> None:
    rows = [{"group": "g", "video_id": "other"}, {"sha256": "a" * 64}]
    assert left_out(manifest_of(rows, licence=""), MMACTION2) == (
        "video_id", "num_frames", "fps", "width", "height", "group", "sha256",
        "header.dataset", "header.version", "header.protocol", "header.source",
    )  # fmt: skip
    assert "video_id" not in left_out(manifest_of([{}]), MMACTION2)
    assert "start_sec" not in left_out(manifest_of([{}]), MMACTION2)


@pytest.mark.parametrize(
    ("name", "rows", "expected"),
    [
        ("slowfast", [{}, {"start_sec": 1.5}], r"row 1, video 'v1': start_sec is 1\.5"),
        ("mmaction2", [{"end_sec": 2.0}], r"end_sec is 2\.0, .* expected nothing"),
        ("slowfast", [{"split": "dev"}], "split is 'dev', .* expected one of train, val, test"),
        ("mmaction2", [{"split": "a/b"}, {"split": "a/b"}], r"a name .* \(2 rows are so\)"),
        ("pytorchvideo", [{"path": "a.mp4 "}], r"path is 'a\.mp4 '"),
        ("pytorchvideo", [{"path": "a\u2028b"}], "line separators"),
        ("mmaction2", [{"class_name": " run"}], "class 0 is ' run'; expected a name without"),
    ],
)
def test_write__refuses_what_readers_would_misread(
    manifest_of: Callable, tmp_path: Path, name: str, rows: list[dict], expected: str
) -> None:
    with pytest.raises(ManifestError, match=expected):
        export_manifest(manifest_of(rows), FORMATS[name], tmp_path / "lists")
    assert list(tmp_path.iterdir()) == []


def test_read__what_others_wrote(lists: Write) -> None:
    folder = lists(
        k_train_list_videos__txt="./a/x.mp4 1\r\n\n  a/y.mp4   0  \n",
        label_map__txt="run\njump\n\n",
    )
    partial = MMACTION2.read_files(
        {"train": folder / "k_train_list_videos.txt"}, folder / "label_map.txt", folder
    )
    table = partial.table
    assert table["path"].tolist() == ["a/x.mp4", "a/y.mp4"]
    assert table["class_name"].tolist() == ["jump", "run"]
    assert partial.header.dataset == folder.name


def test_read__absolute_paths_lie_in_the_root(lists: Write, tmp_path: Path) -> None:
    folder = lists(train__csv=f"{tmp_path}/videos/a.mp4 0\n", class_names__json='{"run": 0}')
    partial = FORMATS["slowfast"].read(folder, tmp_path / "videos")
    assert partial.table["path"].tolist() == ["a.mp4"]
    with pytest.raises(ManifestError, match=r"line 1: '.*a\.mp4' does not lie in .*elsewhere"):
        FORMATS["slowfast"].read(folder, tmp_path / "elsewhere")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("a.mp4\n", r"train\.csv: line 1 is 'a\.mp4'; expected a path and a label"),
        ("a.mp4 0\nb.mp4 -1\n", "line 2 is 'b.mp4 -1'"),
        ("a.mp4 0.5\n", "expected a path and a label"),
        ("a 120 0\n", "lists of frame folders have three values"),
        ("a.mp4 7\n", "line 1: label is 7; expected 0 to 0, as there are 1 classes"),
        ("a.mp4 0\na.mp4 0\n", r"line 2: 'a\.mp4' is listed by .*train\.csv: line 1 too"),
        ("\n", "no video is listed"),
    ],
)
def test_read__faults_have_a_line(lists: Write, content: str, expected: str) -> None:
    folder = lists(train__csv=content, class_names__json='{"run": 0}')
    with pytest.raises(ManifestError, match=expected):
        FORMATS["slowfast"].read(folder, folder)


def test_read__a_video_in_two_splits(lists: Write) -> None:
    folder = lists(val__csv="a.mp4 0\n", test__csv="a.mp4 0\n", class_names__json='{"run": 0}')
    with pytest.raises(ManifestError, match="leave one of the lists out"):
        FORMATS["slowfast"].read(folder, folder)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ('{"run": 0, "jump": 2}', "class 'jump' has number 2; expected 1"),
        ('["run"]', "expected an object from class names"),
        ("{run}", "is not JSON"),
    ],
)
def test_read_classes__faults(lists: Write, content: str, expected: str) -> None:
    folder = lists(train__csv="a.mp4 0\n", class_names__json=content)
    with pytest.raises(ManifestError, match=expected):
        FORMATS["slowfast"].read(folder, folder)


def test_read__missing_files(lists: Write) -> None:
    folder = lists()
    with pytest.raises(ManifestError, match=r"no list; expected a file <split>_list_videos\.txt"):
        MMACTION2.read(folder, folder)
    lists(train_list_videos__txt="a.mp4 0\n")
    with pytest.raises(ManifestError, match=r"label_map\.txt cannot be read: .*a class list"):
        MMACTION2.read(folder, folder)
    lists(label_map__txt="run\n\njump\n")
    with pytest.raises(ManifestError, match="line 2 is blank"):
        MMACTION2.read(folder, folder)


def test_as_whole_files__forgets_clips(manifest_of: Callable) -> None:
    rows = [{"start_sec": 1.0, "end_sec": 2.0}, {}]
    assert as_whole_files(manifest_of(rows)).digest == manifest_of([{}, {}]).digest
    with pytest.raises(ManifestError, match=r"row 1, video 'v1': file 'v0\.mp4' has another row"):
        as_whole_files(manifest_of([rows[0], {"path": "v0.mp4"}]))
