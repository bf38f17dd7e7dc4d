from pathlib import Path

import pytest

from featkd.errors import ManifestError
from featkd.manifest import COLUMNS, read_descriptor

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
