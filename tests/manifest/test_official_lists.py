"""The official lists of real datasets, where they are at hand."""

from collections import Counter
from pathlib import Path

import pytest

from featkd.manifest import Listing, read_listing, shipped_descriptor
from featkd.manifest.class_index import ClassIndex
from featkd.manifest.datasets.ucf101 import split_ucf101_by_group


@pytest.fixture
def annotations(shared_data: Path) -> Path:
    return shared_data / "annotations"


def _splits(listing: Listing) -> Counter[str]:
    return Counter(clip.split for clip in listing.clips)


@pytest.mark.parametrize("fold", ["1", "2", "3"])
def test_ucf101__lists_and_rule_agree(annotations: Path, fold: str) -> None:
    descriptor = shipped_descriptor("ucf101")
    listing = read_listing([annotations / "ucf101"], descriptor, fold=fold)
    assert _splits(listing) == descriptor.folds[fold]
    numbers = (annotations / "ucf101" / f"trainlist0{fold}.txt").read_text("utf-8").split()[1::2]
    trained = [clip.class_name for clip in listing.clips if clip.split == "train"]
    assert [descriptor.classes.index(name) + 1 for name in trained] == list(map(int, numbers))
    paths = sorted(clip.path for clip in listing.clips)
    by_rule = split_ucf101_by_group(paths, ClassIndex(descriptor.classes), fold)
    assert set(by_rule.clips) == set(listing.clips)
    assert len(paths) == len(set(paths)) == 13320


def test_ucf101__case_trap_is_one_class_and_remarked(annotations: Path) -> None:
    listing = read_listing([annotations / "ucf101"], shipped_descriptor("ucf101"), fold="1")
    trapped = [clip for clip in listing.clips if "v_HandStandPushups" in clip.path]
    assert {clip.class_name for clip in trapped} == {"HandstandPushups"}
    (remark,) = listing.remarks
    assert "'HandStandPushups' for the class 'HandstandPushups'" in remark.message


@pytest.mark.parametrize("fold", ["1", "2", "3"])
def test_hmdb51__counts(annotations: Path, fold: str) -> None:
    descriptor = shipped_descriptor("hmdb51")
    listing = read_listing([annotations / "hmdb51"], descriptor, fold=fold)
    assert _splits(listing) == {"train": 3570, "test": 1530}
    for split, count in (("train", 70), ("test", 30)):
        per_class = Counter(clip.class_name for clip in listing.clips if clip.split == split)
        assert set(per_class.values()) == {count}
        assert set(per_class) == set(descriptor.classes)
    splits_of_film: dict[str | None, set[str]] = {}
    for clip in listing.clips:
        splits_of_film.setdefault(clip.group, set()).add(clip.split)
    assert None not in splits_of_film
    assert all(len(splits) == 1 for splits in splits_of_film.values())


def test_thumos14__counts_and_dirty_rows(annotations: Path) -> None:
    descriptor = shipped_descriptor("thumos14")
    listing = read_listing([annotations / "thumos14"], descriptor)
    assert _splits(listing) == {"train": 200, "test": 212}
    split_of_video = {clip.video_id: clip.split for clip in listing.clips}
    segments = Counter(split_of_video[segment.video_id] for segment in listing.segments)
    assert segments == descriptor.num_segments == {"train": 3007, "test": 3358}
    dunks = [one for one in listing.segments if one.class_name == "BasketballDunk"]
    assert Counter(split_of_video[one.video_id] for one in dunks)["train"] == 303
    messages = {remark.place: remark.message for remark in listing.remarks}
    assert "89 ambiguous" in messages["val set of THUMOS14"]
    assert "99 ambiguous" in messages["test set of THUMOS14"]
    assert "only ambiguous" in messages["video_test_0001292"]
    assert "3288 frames off" in messages["video_validation_0000666"]
    off = [message for message in messages.values() if "29.97 frames per second" in message]
    assert len(off) == 6 + 9


def test_thumos14__texts_of_the_challenge_say_the_same(annotations: Path, tmp_path: Path) -> None:
    descriptor = shipped_descriptor("thumos14")
    by_csv = read_listing([annotations / "thumos14"], descriptor)
    lines: dict[str, list[str]] = {}
    for name in ("val", "test"):
        rows = (annotations / "thumos14" / f"{name}_Annotation.csv").read_text("utf-8").split()[1:]
        for video, action, _, start, end, *_ in (row.split(",") for row in rows):
            lines.setdefault(f"{action}_{name}.txt", []).append(f"{video}  {start} {end}")
    assert len(lines) == 2 * 21
    for name, content in lines.items():
        (tmp_path / name).write_text("\n".join(content), encoding="utf-8")
    by_text = read_listing([tmp_path], descriptor)
    assert sorted(map(repr, by_text.segments)) == sorted(map(repr, by_csv.segments))
    assert {clip.video_id for clip in by_text.clips} == {clip.video_id for clip in by_csv.clips}


def test_kinetics400__validation_list(annotations: Path) -> None:
    descriptor = shipped_descriptor("kinetics400")
    folder = annotations / "kinetics"
    lists = [folder / "kinetics-400_val.csv", folder / "kinetics-400_test.csv"]
    listing = read_listing(lists, descriptor)
    assert _splits(listing) == descriptor.folds["1"]
    assert {clip.class_name for clip in listing.clips} == set(descriptor.classes)
    assert listing.clips[0].path == "0wR5jVB-WPk_000417_000427.mp4"
    assert [remark.message for remark in listing.remarks] == [
        "has no labels; its clips are left out"
    ]


def test_kth__sequences(annotations: Path) -> None:
    descriptor = shipped_descriptor("kth")
    listing = read_listing([annotations / "kth"], descriptor)
    assert _splits(listing) == descriptor.folds["1"]
    assert len(listing.clips) == 2391
    assert len({clip.path for clip in listing.clips}) == 599
    second = listing.clips[1]
    assert (second.video_id, second.split) == ("person01_boxing_d1_2", "val")
    assert (second.start_sec * 25, second.end_sec, second.num_frames) == (95, 185 / 25, 90)
    assert sum("share frames" in remark.message for remark in listing.remarks) == 7
    assert sum("is missing" in remark.message for remark in listing.remarks) == 1


@pytest.mark.parametrize(
    ("dataset", "file"),
    [
        ("kinetics400", "kinetics/label_map_400.txt"),
        ("kinetics600", "kinetics/label_map_600.txt"),
        ("activitynet", "activitynet/action_name.csv"),
    ],
)
def test_descriptor__classes_as_their_source_has_them(
    annotations: Path, dataset: str, file: str
) -> None:
    names = (annotations / file).read_text("utf-8").splitlines()
    expected = names[1:] if file.endswith(".csv") else names
    assert list(shipped_descriptor(dataset).classes) == expected
