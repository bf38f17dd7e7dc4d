import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from featkd.errors import ManifestError, UsageError
from featkd.manifest import (
    BuildResult,
    DatasetDescriptor,
    build_from_lists,
    build_ucf101_by_group,
    check_descriptor,
    check_listing,
    check_table,
    describe_dataset,
    read_listing,
    shipped_descriptor,
)

Encode = Callable[..., None]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "videos").mkdir()
    return tmp_path / "videos"


def _listed(root: Path, *lines: str, form: str = "paths") -> tuple[Path, DatasetDescriptor]:
    path = root.parent / "train.txt"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path, describe_dataset("mine", classes=["run", "jump"], lists=form)


def _build(root: Path, *lines: str, form: str = "paths") -> BuildResult:
    path, descriptor = _listed(root, *lines, form=form)
    return build_from_lists(root, [path], descriptor, num_workers=2)


def test_build__rows_and_header(root: Path, encode: Encode) -> None:
    encode(root / "a" / "x.mp4", num_frames=3)
    encode(root / "b" / "y.avi", num_frames=4)
    result = _build(root, "y.mp4 0", "a/x.mp4 1")
    assert (result.rejected, result.warnings, result.annotations) == ((), (), None)
    rows = result.manifest.table
    assert rows["path"].tolist() == ["a/x.mp4", "b/y.avi"]
    assert rows["video_id"].tolist() == ["a/x", "b/y"]
    assert rows["label"].tolist() == [1, 0]
    assert rows["num_frames"].tolist() == [3, 4]
    assert rows["split"].tolist() == ["train", "train"]
    assert result.manifest.header.classes == ("run", "jump")


def test_build__missing_ambiguous_and_unlisted(root: Path, encode: Encode) -> None:
    for shade, name in enumerate(["x/a.mp4", "y/a.mp4", "b.mp4", "c.mp4", "d.mp4"]):
        encode(root / name, shade=30 * shade)
    result = _build(root, "a.mp4 0", "b.mp4 0", "gone.mp4 1")
    reasons = {rejected.path: rejected.reason for rejected in result.rejected}
    assert list(reasons) == ["a.mp4", "gone.mp4"]
    assert "x/a.mp4 and y/a.mp4 fit alike" in reasons["a.mp4"]
    assert "no such file" in reasons["gone.mp4"]
    (warning,) = result.warnings
    assert (warning.path, "3 other videos" in warning.message) == ("c.mp4", True)
    kept = result.with_rejected().table.set_index("path")
    assert kept.loc["gone.mp4", "num_frames"] == 0
    assert kept.loc["gone.mp4", "class_name"] == "jump"


def test_build__names_that_differ_in_case(root: Path, encode: Encode) -> None:
    encode(root / "run" / "v_HandstandPushups_g01.mp4")
    result = _build(root, "run/v_HandStandPushups_g01.avi 0")
    assert result.manifest.table["path"].tolist() == ["run/v_HandstandPushups_g01.mp4"]
    (warning,) = result.warnings
    assert "1 names differ in case" in warning.message


def test_build__frames_of_a_list_that_do_not_decode(root: Path, encode: Encode) -> None:
    encode(root / "a.mp4", num_frames=5)
    encode(root / "b.mp4", num_frames=6)
    result = _build(root, "frames/a 5 0", "frames/b 7 0", form="frames")
    assert [(one.path, one.message) for one in result.warnings] == [
        ("b.mp4", "has 6 frames; its list says 7")
    ]


def test_build__suffix_of_another_format(root: Path, encode: Encode) -> None:
    encode(root / "a.mp4")
    (root / "a.mp4").rename(root / "a.avi")
    (warning,) = _build(root, "a.avi 0").warnings
    assert warning.message.startswith("its suffix is .avi, its contents are mov,mp4")


@pytest.mark.parametrize("second", ["a.mp4 0", "a.avi 1", "A 0"])
def test_build__clip_listed_twice(root: Path, encode: Encode, second: str) -> None:
    encode(root / "a.mp4")
    with pytest.raises(ManifestError, match="'a' is listed 2 times"):
        _build(root, "a.mp4 0", second)


def test_build__nothing_there(root: Path) -> None:
    result = _build(root, "a.mp4 0")
    with pytest.raises(ManifestError, match=r"none of its 1 videos serves.*no such file"):
        _ = result.manifest
    assert result.with_rejected().table["num_frames"].tolist() == [0]
    with pytest.raises(ManifestError, match="name no clip"):
        _build(root)


@pytest.fixture
def ucf101(root: Path, encode: Encode) -> tuple[Path, Path]:
    """Videos of two classes and 25 groups, and official lists of them for each fold."""
    classes = shipped_descriptor("ucf101").classes
    lists = root.parent / "lists"
    lists.mkdir()
    numbered = (f"{number} {name}\n" for number, name in enumerate(classes, start=1))
    (lists / "classInd.txt").write_text("".join(numbered), encoding="utf-8")
    encode(root.parent / "one.avi")
    names = []
    for name in ("Archery", "HandstandPushups"):
        (root / name).mkdir()
        for group in range(1, 26):
            file = f"{name}/v_{name}_g{group:02}_c01.avi"
            shutil.copy(root.parent / "one.avi", root / file)
            with (root / file).open("ab") as video:
                video.write(file.encode())  # none is a copy of another
            names.append((file.replace("v_HandstandP", "v_HandStandP"), group, name))
    for fold in (1, 2, 3):
        tested = range(7 * fold - 6, 7 * fold + 1)
        train = [
            f"{file} {classes.index(name) + 1}\n"
            for file, group, name in names
            if group not in tested
        ]
        test = [f"{file}\n" for file, group, _ in names if group in tested]
        (lists / f"trainlist0{fold}.txt").write_text("".join(train), encoding="utf-8")
        (lists / f"testlist0{fold}.txt").write_text("".join(test), encoding="utf-8")
    return root, lists


@pytest.mark.parametrize("fold", ["1", "2", "3"])
def test_ucf101__lists_and_groups_give_one_manifest(ucf101: tuple[Path, Path], fold: str) -> None:
    root, lists = ucf101
    descriptor = shipped_descriptor("ucf101")
    listed = build_from_lists(root, [lists], descriptor, fold=fold)
    grouped = build_ucf101_by_group(root, descriptor, fold=fold)
    assert listed.manifest.digest == grouped.manifest.digest
    assert listed.manifest.table["split"].value_counts().to_dict() == {"train": 36, "test": 14}
    assert set(listed.manifest.table["label"]) == {2, 36}
    assert listed.manifest.table["group"].nunique() == 50
    assert any("25 names differ in case" in warning.message for warning in listed.warnings)
    assert not [one for one in check_table(listed.manifest) if one.severity == "error"]
    counts = [one for one in check_descriptor(listed.manifest, descriptor) if one.field == "split"]
    assert [one.expected for one in counts] == list(map(str, descriptor.folds[fold].values()))
    listing = read_listing([lists], descriptor, fold=fold)
    remarks = check_listing(listed.manifest, listing)
    assert {one.field for one in remarks} == {"lists"}


def test_ucf101__by_group_alone(root: Path, encode: Encode) -> None:
    descriptor = shipped_descriptor("ucf101")
    encode(root / "Archery" / "mine.avi")
    with pytest.raises(ManifestError, match="none of its 1 videos is called"):
        build_ucf101_by_group(root, descriptor)
    encode(root / "Archery" / "v_Archery_g01_c01.avi")
    messages = [one.message for one in build_ucf101_by_group(root, descriptor).warnings]
    assert "is no name of UCF101's; it is left out" in messages
    with pytest.raises(UsageError, match="fold of ucf101 is '0'"):
        build_ucf101_by_group(root, descriptor, fold="0")
    with pytest.raises(UsageError, match="hmdb51 cannot be split"):
        build_ucf101_by_group(root, shipped_descriptor("hmdb51"))


def test_thumos14__annotations(root: Path, encode: Encode) -> None:
    for shade, name in enumerate(["video_validation_0000001", "video_test_0000002"]):
        encode(root / f"{name}.mp4", num_frames=20, shade=shade)
    lists = root.parent / "lists"
    lists.mkdir()
    header = "video,type,type_idx,start,end\n"
    rows = "Diving,26,0.1,0.4\n", "CliffDiving,22,0.5,1\n", "Diving,26,1,1.5\n", "Ambiguous,0,1,2\n"
    val = "".join(f"video_validation_0000001,{row}" for row in rows)
    (lists / "val_Annotation.csv").write_text(header + val, encoding="utf-8")
    test = f"video_test_0000002,{rows[1]}video_test_0000003,{rows[3]}"
    (lists / "test_Annotation.csv").write_text(header + test, encoding="utf-8")
    result = build_from_lists(root, [lists], shipped_descriptor("thumos14"))
    table = result.manifest.table.set_index("video_id")
    assert table["class_name"].to_dict() == {
        "video_validation_0000001": "Diving",
        "video_test_0000002": "CliffDiving",
    }
    assert table["split"].tolist() == ["test", "train"]
    assert result.annotations is not None
    assert result.annotations.table.to_numpy().tolist() == [
        ["video_test_0000002", 0.5, 1.0, 4],
        ["video_validation_0000001", 0.1, 0.4, 7],
        ["video_validation_0000001", 0.5, 1.0, 4],
        ["video_validation_0000001", 1.0, 1.5, 7],
    ]


def test_kth__sequences_of_one_file(root: Path, encode: Encode) -> None:
    encode(root / "boxing" / "person11_boxing_d1_uncomp.avi", num_frames=30, fps=25)
    text = (
        "Training:   person11, 12\nperson11_boxing_d1\t\tframes\t1-7, 8-19, 22-29\n"
        "person12_boxing_d1\t*missing*\n"
    )
    (root.parent / "00sequences.txt").write_text(text, encoding="utf-8")
    result = build_from_lists(
        root, [root.parent / "00sequences.txt"], shipped_descriptor("kth"), num_workers=1
    )
    rows = result.manifest.table
    assert rows["video_id"].tolist() == [f"person11_boxing_d1_{number}" for number in (1, 2, 3)]
    assert rows["num_frames"].tolist() == [7, 12, 8]
    (warning,) = result.warnings
    assert "person12_boxing_d1 is missing" in warning.message
    assert rows["sha256"].nunique() == 1
    assert rows["group"].tolist() == ["person11"] * 3
