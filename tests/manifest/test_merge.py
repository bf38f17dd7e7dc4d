from collections.abc import Callable
from pathlib import Path

import pytest

from featkd.errors import ManifestError, UsageError
from featkd.manifest import Manifest, Part, merge_manifests

ManifestOf = Callable[..., Manifest]


@pytest.fixture
def parts(manifest_of: ManifestOf, tmp_path: Path) -> list[Part]:
    """Two manifests whose classes overlap, in folders beside each other."""
    first = manifest_of(
        [{"class_name": "run", "group": "g1"}, {"class_name": "jump"}],
        tmp_path / "a",
        dataset="a",
    )
    second = manifest_of(
        [{"video_id": "w0", "class_name": "wave", "group": "g1"}, {"class_name": "run"}],
        tmp_path / "b" / "videos",
        dataset="b",
        licence="MIT",
        protocol="by lot",
    )
    return [Part("a.csv", first), Part("b.csv", second)]


def _prefixed(parts: list[Part]) -> list[Part]:
    return [Part(p.name, p.manifest, f"{p.manifest.header.dataset}/") for p in parts]


def test_merge__joins_classes_ids_groups_and_paths(parts: list[Part], tmp_path: Path) -> None:
    merged = merge_manifests(_prefixed(parts), dataset="both", join_classes=True)
    assert merged.root == tmp_path
    assert merged.header.classes == ("run", "jump", "wave")
    table = merged.table
    assert table["video_id"].tolist() == ["a/v0", "a/v1", "b/w0", "b/v1"]
    assert table["path"].tolist() == [
        "a/v0.mp4", "a/v1.mp4", "b/videos/v0.mp4", "b/videos/v1.mp4",
    ]  # fmt: skip
    assert table["label"].tolist() == [0, 1, 2, 0]
    assert table["group"].fillna("-").tolist() == ["a/g1", "-", "b/g1", "-"]
    header = merged.header
    assert (header.dataset, header.version, header.licence) == ("both", "1", "CC0; MIT")
    assert header.protocol == "by hand; by lot"
    located = [clip.path for clip in merged.clips("train")]
    assert located[2] == parts[1].manifest.clips("train")[0].path


def test_merge__same_root_keeps_paths(manifest_of: ManifestOf, tmp_path: Path) -> None:
    halves = [
        Part(f"{name}.csv", manifest_of([{"video_id": name, "path": f"{name}.mp4"}], tmp_path))
        for name in "xy"
    ]
    merged = merge_manifests(halves)
    assert merged.table["path"].tolist() == ["x.mp4", "y.mp4"]
    assert merged.header == halves[0].manifest.header
    above = merge_manifests(halves, root=tmp_path.parent)
    assert above.table["path"].tolist() == [f"{tmp_path.name}/x.mp4", f"{tmp_path.name}/y.mp4"]


def test_merge__different_classes_are_refused_by_name(parts: list[Part]) -> None:
    expected = (
        r"class 0 is 'run' in a\.csv \(2 classes\) and 'wave' in b\.csv \(2 classes\); "
        "expected equal class lists, or to join them"
    )
    with pytest.raises(ManifestError, match=expected):
        merge_manifests(_prefixed(parts), dataset="both")


def test_merge__shorter_class_list_is_refused(manifest_of: ManifestOf) -> None:
    one = manifest_of([{}], classes=("run", "jump"))
    other = manifest_of([{"video_id": "w"}], classes=("run",))
    with pytest.raises(ManifestError, match=r"class 1 is 'jump' in a \(2.*absent in b \(1"):
        merge_manifests([Part("a", one), Part("b", other)])


def test_merge__classes_that_differ_in_case_are_refused(manifest_of: ManifestOf) -> None:
    one = manifest_of([{"class_name": "HandStandPushups"}])
    other = manifest_of([{"video_id": "w", "class_name": "HandstandPushups"}])
    expected = "'HandStandPushups' of a and class 'HandstandPushups' of b differ only in case"
    with pytest.raises(ManifestError, match=expected):
        merge_manifests([Part("a", one), Part("b", other)], join_classes=True)


def test_merge__repeated_ids_are_refused(parts: list[Part]) -> None:
    with pytest.raises(ManifestError, match=r"video 'v1' is in a\.csv and in b\.csv; expected ids"):
        merge_manifests(parts, dataset="both", join_classes=True)


def test_merge__names_and_roots(parts: list[Part], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"'a' \(a\.csv\), 'b' \(b\.csv\); expected a name"):
        merge_manifests(_prefixed(parts), join_classes=True)
    with pytest.raises(UsageError, match=r"root .*/a of a\.csv does not lie in .*/b"):
        merge_manifests(_prefixed(parts), root=tmp_path / "b", dataset="both", join_classes=True)
    with pytest.raises(UsageError, match="1 manifest is given"):
        merge_manifests(parts[:1])
