"""The description, and what the validator of MLCommons says of it."""

import importlib.util
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from featkd.errors import ManifestError
from featkd.manifest import Manifest
from featkd.manifest.formats import Croissant, export_manifest

FORMAT = Croissant()

READ_RECORDS = """
import json, sys
import mlcroissant

dataset = mlcroissant.Dataset(sys.argv[1])
def plain(value):
    value = value.decode() if isinstance(value, bytes) else value
    value = value.item() if hasattr(value, "item") else value
    return None if value != value else value
found = {
    name: [{key: plain(value) for key, value in record.items()} for record in dataset.records(name)]
    for name in ("classes", "splits", "clips")
}
print(json.dumps({"issues": sorted(dataset.metadata.issues.errors), "records": found}))
"""


@pytest.fixture
def described(manifest: Manifest, tmp_path: Path) -> Path:
    """A folder with the description of four clips in three splits."""
    export_manifest(manifest, FORMAT, tmp_path / "croissant")
    return tmp_path / "croissant"


@pytest.fixture
def run_mlcroissant() -> Callable[..., subprocess.CompletedProcess[str]]:
    if importlib.util.find_spec("mlcroissant") is None:
        pytest.skip("mlcroissant is not installed")

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        words = [sys.executable, *map(str, arguments)]
        return subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)

    return run


def test_validator__passes(described: Path, run_mlcroissant: Callable) -> None:
    module = "mlcroissant.scripts.validate"
    file = described / "croissant.json"
    done = run_mlcroissant("-m", module, "--jsonld", file)
    assert done.returncode == 0, done.stderr
    assert "not standard" not in done.stderr
    content = json.loads(file.read_text(encoding="utf-8"))
    content["recordSet"][2]["field"][0]["source"]["fileObject"]["@id"] = "elsewhere"
    file.write_text(json.dumps(content))
    assert run_mlcroissant("-m", module, "--jsonld", file).returncode == 1


def test_records__are_those_of_the_manifest(
    described: Path, manifest: Manifest, run_mlcroissant: Callable
) -> None:
    done = run_mlcroissant("-c", READ_RECORDS, described / "croissant.json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["issues"] == []
    records = found["records"]
    assert [one["classes/name"] for one in records["classes"]] == list(manifest.header.classes)
    assert [one["classes/label"] for one in records["classes"]] == [0, 1, 2]
    assert {one["splits/name"] for one in records["splits"]} == {"train", "val", "test"}
    table = manifest.table.astype(object).where(manifest.table.notna(), None)
    assert [
        {key.removeprefix("clips/"): value for key, value in one.items()}
        for one in records["clips"]
    ] == table.to_dict("records")


def test_write__says_what_the_header_says(described: Path, manifest: Manifest) -> None:
    content = json.loads((described / "croissant.json").read_text(encoding="utf-8"))
    assert content["conformsTo"] == "http://mlcommons.org/croissant/1.0"
    assert (content["name"], content["version"], content["license"]) == ("tiny", "1", "CC0")
    assert "4 labelled clips of 3 classes. Splits: by hand." in content["description"]
    assert "url" not in content
    splits = content["recordSet"][1]["data"]
    assert splits[1] == {"splits/name": "val", "splits/url": "cr:ValidationSplit"}


def test_write__a_url_in_the_source_and_splits_of_other_names(
    manifest_of: Callable[..., Manifest], tmp_path: Path
) -> None:
    manifest = manifest_of([{"split": "dev"}, {}], source="from https://example.org/data, cut")
    export_manifest(manifest, FORMAT, tmp_path / "croissant")
    content = json.loads((tmp_path / "croissant/croissant.json").read_text(encoding="utf-8"))
    assert content["url"] == "https://example.org/data"
    assert content["recordSet"][1]["data"] == [{"splits/name": "dev"}, {"splits/name": "train"}]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda content: content.pop("recordSet"), "describes no manifest"),
        (lambda content: content["recordSet"].pop(), "describes no manifest"),
        (
            lambda content: content["distribution"][0].update(contentUrl="../other.parquet"),
            r"contentUrl of 'manifest\.parquet' is '\.\./other\.parquet'",
        ),
        (lambda content: content["distribution"][0].update(sha256="0"), "another checksum"),
    ],
)
def test_read__faults(described: Path, change: Callable, expected: str) -> None:
    file = described / "croissant.json"
    content = json.loads(file.read_text(encoding="utf-8"))
    change(content)
    file.write_text(json.dumps(content))
    with pytest.raises(ManifestError, match=expected):
        FORMAT.read(described, described)


def test_read__no_description(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"croissant\.json cannot be read: .* a Croissant"):
        FORMAT.read(tmp_path, tmp_path)
    (tmp_path / "croissant.json").write_text("{")
    with pytest.raises(ManifestError, match="is not JSON"):
        FORMAT.read(tmp_path, tmp_path)
