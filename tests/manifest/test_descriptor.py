from pathlib import Path

import pytest

from featkd.errors import ManifestError, UsageError
from featkd.manifest import (
    COLUMNS,
    describe_dataset,
    described_datasets,
    read_descriptor,
    shipped_descriptor,
)

DATA_MANIFESTS = Path(__file__).parents[2] / "data_manifests"
RIGHT = {
    "dataset": "d",
    "classes": "[a, b]",
    "protocol": "p",
    "licence": "CC0",
    "homepage": "h",
    "citation": "c",
}


def _write(path: Path, keys: dict[str, str]) -> Path:
    path.write_text("".join(f"{key}: {value}\n" for key, value in keys.items()), encoding="utf-8")
    return path


def test_read_descriptor__synthetic_actions() -> None:
    descriptor = read_descriptor(DATA_MANIFESTS / "synthetic_actions.yaml")
    assert descriptor.dataset == "synthetic_actions"
    assert len(descriptor.classes) == 12
    assert descriptor.classes[0] == "translate_left"
    assert descriptor.classes[-1] == "blink"


@pytest.mark.parametrize("path", sorted(DATA_MANIFESTS.glob("*.yaml")), ids=lambda path: path.stem)
def test_read_descriptor__every_file_here(path: Path) -> None:
    assert read_descriptor(path).dataset == path.stem
    assert f"`{path.name}`" in (DATA_MANIFESTS / "README.md").read_text(encoding="utf-8")


def test_readme__tells_the_columns_as_they_are() -> None:
    readme = (DATA_MANIFESTS / "README.md").read_text(encoding="utf-8")
    for column in COLUMNS:
        absent = "yes" if column.nullable else "no"
        row = f"| `{column.name}` | {column.dtype_name} | {absent} | {column.meaning} |"
        assert row in readme


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"classes": "[a, a]"}, "class 1 is 'a'"),
        ({"classes": "[yes, no]"}, "field 'classes.0' is True"),
        ({"classes": "[]"}, "field 'classes'"),
        ({"license": "CC0"}, "field 'license' is unknown"),
        ({"dataset": "1"}, "field 'dataset' is 1"),
        ({"dataset": "[open"}, "is not YAML"),
    ],
)
def test_read_descriptor__wrong_value(change: dict[str, str], words: str, tmp_path: Path) -> None:
    path = _write(tmp_path / "d.yaml", RIGHT | change)
    with pytest.raises(ManifestError) as caught:
        read_descriptor(path)
    message = str(caught.value)
    assert str(path) in message
    assert words in message
    assert "\n" not in message


def test_read_descriptor__missing_key(tmp_path: Path) -> None:
    keys = {key: value for key, value in RIGHT.items() if key != "licence"}
    with pytest.raises(ManifestError, match="field 'licence' is missing"):
        read_descriptor(_write(tmp_path / "d.yaml", keys))


def test_read_descriptor__no_mapping(tmp_path: Path) -> None:
    path = tmp_path / "d.yaml"
    path.write_text("- a\n", encoding="utf-8")
    with pytest.raises(ManifestError, match="holds list; expected keys"):
        read_descriptor(path)
    with pytest.raises(ManifestError, match=r"absent\.yaml cannot be read"):
        read_descriptor(tmp_path / "absent.yaml")


def test_described_datasets__are_the_files_here() -> None:
    assert list(described_datasets()) == sorted(path.stem for path in DATA_MANIFESTS.glob("*.yaml"))


@pytest.mark.parametrize("dataset", described_datasets())
def test_fold_of__is_the_reverse_of_protocol_of(dataset: str) -> None:
    descriptor = shipped_descriptor(dataset)
    for fold in descriptor.folds:
        assert descriptor.fold_of(descriptor.protocol_of(fold)) == fold
    assert descriptor.fold_of("drawn by hash") is None
    with pytest.raises(UsageError, match="fold of"):
        descriptor.protocol_of("0")


@pytest.mark.parametrize(
    ("dataset", "num_classes", "label", "name"),
    [
        ("ucf101", 101, 36, "HandstandPushups"),
        ("hmdb51", 51, 6, "climb_stairs"),
        ("kinetics400", 400, 399, "zumba"),
        ("kinetics600", 600, 308, "passing American football (in game)"),
        ("kinetics700", 700, 699, "zumba"),
        ("something_something_v2", 174, 173, "Wiping something off of something"),
        ("activitynet", 200, 10, "Playing ten pins"),
        ("thumos14", 20, 19, "VolleyballSpiking"),
        ("kth", 6, 3, "jogging"),
    ],
)
def test_shipped_descriptor__classes(dataset: str, num_classes: int, label: int, name: str) -> None:
    classes = shipped_descriptor(dataset).classes
    assert len(classes) == num_classes
    assert classes[label] == name


def test_describe_dataset__own_classes_and_lists() -> None:
    shipped = shipped_descriptor("hmdb51")
    assert describe_dataset("hmdb51") == shipped
    other = describe_dataset("hmdb51", classes=["wave", "run"], lists="paths")
    assert (other.classes, other.lists, other.folds) == (("wave", "run"), "paths", shipped.folds)
    mine = describe_dataset("mine", classes=["a"], lists="frames")
    assert (mine.dataset, mine.classes, mine.lists) == ("mine", ("a",), "frames")
    with pytest.raises(UsageError, match="'mine' has no descriptor"):
        describe_dataset("mine", classes=["a"])
    with pytest.raises(UsageError, match="'mine' has no descriptor; expected one of activitynet"):
        shipped_descriptor("mine")
