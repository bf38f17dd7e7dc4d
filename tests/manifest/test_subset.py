from collections.abc import Callable

import pytest

from featkd.errors import ManifestError, UsageError
from featkd.manifest import Manifest, renumber_classes, take_subset

ManifestOf = Callable[..., Manifest]


@pytest.fixture
def whole(manifest_of: ManifestOf) -> Manifest:
    """Four classes; seven rows of each in train, three in test."""
    rows = [
        {"video_id": f"{name}{row}", "class_name": name, "split": "train" if row < 7 else "test"}
        for name in ("run", "jump", "wave", "sit")
        for row in range(10)
    ]
    return manifest_of(rows)


def _ids(manifest: Manifest) -> list[str]:
    return manifest.table["video_id"].tolist()


def test_take_subset__conditions_hold_together(whole: Manifest) -> None:
    taken = take_subset(
        whole, classes=["wave", "run"], splits=["test"], video_ids=["wave9", "wave1", "run8"]
    )
    assert _ids(taken) == ["run8", "wave9"]
    assert taken.header.classes == whole.header.classes
    assert taken.header.protocol == "by hand; subset: classes wave, run, splits test, 3 ids"


def test_take_subset__number_counts_class_and_split(whole: Manifest) -> None:
    taken = take_subset(whole, num_per_class=4, seed=3)
    counts = taken.table.groupby(["class_name", "split"]).size()
    assert counts.xs("train", level="split").tolist() == [4] * 4
    assert counts.xs("test", level="split").tolist() == [3] * 4
    assert _ids(taken) == [name for name in _ids(whole) if name in set(_ids(taken))]


def test_take_subset__a_larger_number_takes_the_same_and_more(whole: Manifest) -> None:
    few, more = (set(_ids(take_subset(whole, num_per_class=n, seed=1))) for n in (2, 5))
    assert few < more
    assert few != set(_ids(take_subset(whole, num_per_class=2, seed=2)))
    without_some = take_subset(whole, video_ids=sorted(few | {"sit0"}))
    assert few >= set(_ids(take_subset(without_some, num_per_class=2, seed=1))) - {"sit0"}


def test_renumber_classes__keeps_order_and_names(whole: Manifest) -> None:
    taken = renumber_classes(take_subset(whole, classes=["sit", "jump"]))
    assert taken.header.classes == ("jump", "sit")
    table = taken.table
    assert set(zip(table["label"], table["class_name"], strict=True)) == {(0, "jump"), (1, "sit")}


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ({"classes": ["fly"]}, "class 'fly' is not in the manifest"),
        ({"splits": ["val"]}, "split 'val' is not in the manifest"),
        ({"video_ids": ["x", "run1", "y"]}, r"video 'x' is not in the manifest \(nor are 1 other"),
        ({"num_per_class": 0}, "num_per_class is 0"),
    ],
)
def test_take_subset__wrong_arguments(whole: Manifest, conditions: dict, expected: str) -> None:
    with pytest.raises(UsageError, match=expected):
        take_subset(whole, **conditions)


def test_take_subset__nothing_left(whole: Manifest) -> None:
    with pytest.raises(ManifestError, match="no row meets every condition"):
        take_subset(whole, splits=["test"], video_ids=["run0"])
