"""Every fault of a file: the message names file, column, row, value and expectation."""

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from featkd.errors import ManifestError
from featkd.manifest import Manifest, ManifestHeader, read_manifest, write_manifest

# Column, values of the rows, row at fault (from 0), value as the message shows it, expectation.
WRONG_VALUES = {
    "label outside": ("label", [0, 1, 3, 0], 2, "3", "0 to 2: the header lists 3 classes"),
    "label negative": ("label", [0, 1, -1, 0], 2, "-1", "0 to 2"),
    "label text": ("label", ["0", "1", "two", "0"], 2, "'two'", "int64"),
    "label fraction": ("label", [0, 1, 1.5, 0], 2, "1.5", "int64"),
    "label absent": ("label", [0, 1, None, 0], 2, "empty", "int64"),
    "class name": ("class_name", ["run", "run", "wave", "run"], 1, "'run'", "'jump, high'"),
    "duplicate": ("video_id", ["a", "b", "c", "b"], 3, "'b'", "unique names"),
    "video_id absent": ("video_id", ["a", "b", None, "d"], 2, "empty", "text"),
    "video_id blank": ("video_id", ["a", "b", " ", "d"], 2, "' '", "not blank"),
    "path absolute": ("path", ["a", "/b", "c", "d"], 1, "'/b'", "relative to the root"),
    "path leaves": ("path", ["a", "b", "c/../../d", "d"], 2, "'c/../../d'", "not leave"),
    "path is parent": ("path", ["a", "b", "..", "d"], 2, "'..'", "not leave"),
    "path on a drive": ("path", ["a", "C:/b", "c", "d"], 1, "'C:/b'", "relative to the root"),
    "path backslash": ("path", ["a", "..\\b", "c", "d"], 1, "'..\\\\b'", "relative to the root"),
    "split absent": ("split", ["train", "", "val", "test"], 1, "", "train, val, test"),
    "frames negative": ("num_frames", [24, 68, -1, 0], 2, "-1", "0 or more"),
    "frames text": ("num_frames", ["24", "many", "1", "0"], 1, "'many'", "int64"),
    "start negative": ("start_sec", [0.0, 1.5, -0.5, 0.1], 2, "-0.5", "0 or more"),
    "end before start": ("end_sec", [None, 1.25, None, 0.3], 1, "1.25", "greater than start_sec"),
    "end at start": ("end_sec", [None, 1.5, None, 0.3], 1, "1.5", "greater than start_sec"),
    "end infinite": ("end_sec", [None, 2.0, float("inf"), 0.3], 2, "inf", "finite"),
    "fps infinite": ("fps", [24.0, float("inf"), 1.0, 0.0], 1, "inf", "finite"),
    "width zero": ("width", [80, 0, 64, 0], 1, "0", "1 or more, since the row has frames"),
    "height negative": ("height", [80, -2, 64, 0], 1, "-2", "0 or more"),
    "sha256": ("sha256", ["a" * 64, "B" * 64, None, None], 1, "B" * 64, "64 lowercase"),
    "control character": ("group", ["a", "b\x07", "c", "d"], 1, "'b\\x07'", "control characters"),
}


def _write_csv(path: Path, header: ManifestHeader, table: pd.DataFrame) -> None:
    rows = table.to_csv(index=False)
    path.write_text(f"# featkd-manifest {header.to_json()}\n{rows}", encoding="utf-8")


def _write_parquet(path: Path, header: ManifestHeader, table: pd.DataFrame) -> None:
    metadata = {"featkd-manifest": header.to_json()}
    rows = pa.Table.from_pandas(table, preserve_index=False)
    pq.write_table(rows.replace_schema_metadata(metadata), path)


def _refusal(path: Path) -> str:
    with pytest.raises(ManifestError) as caught:
        read_manifest(path)
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    return message


@pytest.mark.parametrize("case", WRONG_VALUES.values(), ids=WRONG_VALUES.keys())
def test_read_manifest__wrong_value_in_csv(
    case: tuple[str, list[object], int, str, str],
    header: ManifestHeader,
    table: pd.DataFrame,
    tmp_path: Path,
) -> None:
    column, values, row, value, expected = case
    path = tmp_path / "manifest.csv"
    text = pd.Series(["" if entry is None else str(entry) for entry in values])
    _write_csv(path, header, table.assign(**{column: text}))
    message = _refusal(path)
    assert f"line {row + 3}: column {column!r}" in message
    for words in (value, expected):
        assert words in message


@pytest.mark.parametrize("case", WRONG_VALUES.values(), ids=WRONG_VALUES.keys())
def test_manifest__wrong_value_in_memory(
    case: tuple[str, list[object], int, str, str], header: ManifestHeader, table: pd.DataFrame
) -> None:
    column, values, row, value, expected = case
    if value.startswith("'") and column in {"label", "num_frames"}:
        row, value = 0, repr(values[0])  # the whole column is text, and the first row shows it
    with pytest.raises(ManifestError) as caught:
        Manifest(header, table.assign(**{column: values}), Path())
    message = str(caught.value)
    assert f"row {row} (counted from 0): column {column!r}" in message
    for words in (value, expected):
        assert words in message


def test_read_manifest__wrong_value_in_parquet(
    header: ManifestHeader, table: pd.DataFrame, tmp_path: Path
) -> None:
    path = tmp_path / "manifest.parquet"
    _write_parquet(path, header, table.assign(label=[0, 1, 9, 8]))
    message = _refusal(path)
    assert "row 2 (counted from 0): column 'label' is 9; expected 0 to 2" in message
    assert "2 rows are wrong" in message
    _write_parquet(path, header, table.assign(label=["0", "1", "2", "0"]))
    assert "column 'label' holds large_string, such as '0'; expected int64" in _refusal(path)
    _write_parquet(path, header, table.assign(split=[1, 1, 2, 2]))
    assert "column 'split' holds int64, such as 1; expected text" in _refusal(path)


def test_read_manifest__duplicate_names_the_other_row(
    header: ManifestHeader, table: pd.DataFrame, tmp_path: Path
) -> None:
    path = tmp_path / "manifest.csv"
    _write_csv(path, header, table.assign(video_id=["a", "b", "c", "b"]))
    assert "line 6" in _refusal(path)
    assert "line 4 has it too" in _refusal(path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda table: table.drop(columns="group"), "column 'group' is missing"),
        (lambda table: table.assign(notes="x"), "column 'notes' is unknown"),
        (lambda table: table.assign(Label=0), "column 'Label' is unknown"),
        (lambda table: table.iloc[:0], "has no rows"),
    ],
    ids=["missing", "unknown", "case", "empty"],
)
@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_read_manifest__wrong_columns(
    change: Callable[[pd.DataFrame], pd.DataFrame],
    words: str,
    suffix: str,
    header: ManifestHeader,
    table: pd.DataFrame,
    tmp_path: Path,
) -> None:
    path = tmp_path / f"manifest{suffix}"
    (_write_csv if suffix == ".csv" else _write_parquet)(path, header, change(table))
    assert words in _refusal(path)


def test_read_manifest__column_twice(manifest: Manifest, tmp_path: Path) -> None:
    path = tmp_path / "manifest.csv"
    write_manifest(manifest, path)
    lines = path.read_text(encoding="utf-8").splitlines()
    lines[1] += ",group"
    lines[2:] = [line + ",g" for line in lines[2:]]
    path.write_text("\n".join(lines), encoding="utf-8")
    assert "column 'group' occurs twice" in _refusal(path)


def test_manifest__column_of_mixed_types(header: ManifestHeader, table: pd.DataFrame) -> None:
    mixed = table.assign(path=["a", 1, 2.5, "d"])
    with pytest.raises(ManifestError, match="column 'path' mixes types"):
        Manifest(header, mixed, Path())


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda lines: [*lines[:3], "short,row", *lines[4:]], "line 4 has 2 values, 'short,row'"),
        (lambda lines: [*lines[:5], lines[5] + ",x"], "line 6 has 14 values"),
        (lambda lines: [*lines[:3], "", *lines[3:]], "line 4: column 'video_id' is empty"),
        (lambda lines: lines[:1], "not a UTF-8 CSV table"),
        (lambda lines: [], "is not a manifest: line 1 is ''"),
        (lambda lines: lines[1:], "is not a manifest: line 1 is 'video_id,path,"),
        (lambda lines: ["# featkd-manifest {oops", *lines[1:]], "header of the manifest"),
        (lambda lines: ["# featkd-manifest []", *lines[1:]], "header of the manifest"),
    ],
    ids=["few", "many", "blank", "no table", "empty", "no header", "bad json", "not a mapping"],
)
def test_read_manifest__not_a_table(
    edit: Callable[[list[str]], list[str]], words: str, manifest: Manifest, tmp_path: Path
) -> None:
    path = tmp_path / "manifest.csv"
    write_manifest(manifest, path)
    path.write_text("\n".join(edit(path.read_text(encoding="utf-8").splitlines())), "utf-8")
    assert words in _refusal(path)


@pytest.mark.parametrize(
    ("update", "words"),
    [
        ({"classes": ["run", "run", "wave"]}, "class 1 is 'run'"),
        ({"licence": None}, "field 'licence' is None"),
        ({"owner": "me"}, "field 'owner' is unknown"),
        ({"format": "featkd-manifest/9"}, "'featkd-manifest/1'"),
    ],
    ids=["classes", "type", "unknown", "version"],
)
def test_read_manifest__wrong_header(
    update: dict[str, object], words: str, manifest: Manifest, tmp_path: Path
) -> None:
    path = tmp_path / "manifest.csv"
    write_manifest(manifest, path)
    lines = path.read_text(encoding="utf-8").splitlines()
    wrong = json.dumps(manifest.header.model_dump(mode="json") | update)
    path.write_text("\n".join([f"# featkd-manifest {wrong}", *lines[1:]]), encoding="utf-8")
    assert words in _refusal(path)


def test_read_manifest__header_lacks_a_field(manifest: Manifest, tmp_path: Path) -> None:
    path = tmp_path / "manifest.parquet"
    fields = manifest.header.model_dump(mode="json")
    del fields["dataset"]
    rows = pa.Table.from_pandas(manifest.table, preserve_index=False)
    pq.write_table(rows.replace_schema_metadata({"featkd-manifest": json.dumps(fields)}), path)
    assert "field 'dataset' is missing" in _refusal(path)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("m.csv", b"\x89PNG\r\n\x1a\n\xff\xfe", "line 1 is not UTF-8"),
        ("m.csv", b"a,b\n1,2\n", "is not a manifest: line 1 is 'a,b'"),
        ("m.parquet", b"", "is not a Parquet file"),
        ("m.parquet", b"PAR1 but broken PAR1", "is not a Parquet file"),
        ("m.txt", b"", "suffix '.txt'; expected .csv or .parquet"),
    ],
    ids=["binary", "other csv", "empty parquet", "broken parquet", "suffix"],
)
def test_read_manifest__not_a_manifest(
    name: str, content: bytes, words: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    assert words in _refusal(path)


def test_read_manifest__other_parquet(table: pd.DataFrame, tmp_path: Path) -> None:
    path = tmp_path / "other.parquet"
    table.to_parquet(path)
    assert "is a Parquet file but not a manifest" in _refusal(path)


def test_read_manifest__rows_not_utf8(manifest: Manifest, tmp_path: Path) -> None:
    path = tmp_path / "manifest.csv"
    write_manifest(manifest, path)
    path.write_bytes(path.read_bytes().replace("é".encode(), b"\xe9"))
    assert "not a UTF-8 CSV table" in _refusal(path)


def test_read_manifest__nothing_there(tmp_path: Path) -> None:
    assert "does not exist" in _refusal(tmp_path / "absent.csv")
    folder = tmp_path / "folder.csv"
    folder.mkdir()
    assert "is a folder; expected a manifest file" in _refusal(folder)
