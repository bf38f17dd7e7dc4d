import hashlib
import json
import struct
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from featkd.errors import ManifestError
from featkd.manifest import COLUMNS, Manifest, ManifestHeader, read_manifest, write_manifest

SUFFIXES = [".csv", ".parquet"]
CLASSES = ("a", 'b "quoted", twice', "ç")

# Surrogates are no text, control characters and backslashes are refused, and blank is no name.
NAMES = st.text(
    st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="/\\:"), min_size=1
).filter(lambda name: name.strip() and name not in {".", ".."})
SECONDS = st.floats(0.0, 1e6, allow_subnormal=True)


@st.composite
def tables(draw: st.DrawFn) -> pd.DataFrame:
    video_ids = draw(st.lists(NAMES, min_size=1, max_size=4, unique=True))
    rows = []
    for video_id in video_ids:
        label = draw(st.integers(0, len(CLASSES) - 1))
        start_sec = draw(SECONDS)
        end_sec = draw(st.none() | st.floats(1e-3, 1e3).map(lambda length: length + 2e6))
        rows.append(
            {
                "video_id": video_id,
                "path": f"folder/{draw(NAMES)}",
                "label": label,
                "class_name": CLASSES[label],
                "split": draw(st.sampled_from(["train", "val", "test", "1, 2"])),
                "start_sec": start_sec,
                "end_sec": end_sec,
                "num_frames": draw(st.integers(0, 2**62)),
                "fps": draw(SECONDS),
                "width": draw(st.integers(1, 2**40)),
                "height": draw(st.integers(1, 2**40)),
                "group": draw(st.none() | NAMES),
                "sha256": draw(st.none() | st.text("0123456789abcdef", min_size=64, max_size=64)),
            }
        )
    return pd.DataFrame(rows)


@pytest.mark.parametrize("suffix", SUFFIXES)
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(table=tables())
def test_round_trip__any_table(table: pd.DataFrame, suffix: str, tmp_path: Path) -> None:
    header = ManifestHeader(
        dataset='d "x"\nline', version="1", classes=CLASSES, protocol="", source="ü", licence=""
    )
    manifest = Manifest(header, table, tmp_path)
    path = tmp_path / f"manifest{suffix}"
    write_manifest(manifest, path)
    back = read_manifest(path)
    assert back.header == header
    pd.testing.assert_frame_equal(back.table, manifest.table, check_exact=True)
    assert back.digest == manifest.digest


def test_digest__same_in_both_formats_and_any_root(manifest: Manifest, tmp_path: Path) -> None:
    digests = {manifest.digest, replace(manifest, root=Path("elsewhere")).digest}
    for suffix in SUFFIXES:
        path = tmp_path / f"manifest{suffix}"
        write_manifest(manifest, path)
        digests.add(read_manifest(path).digest)
    assert len(digests) == 1


def test_digest__recorded_value(manifest: Manifest) -> None:
    # Caches hold digests: this one may only change together with the format's version.
    expected = "70a4e968bfecc0c670073a7a66bfcc63eee34799a2d18d13aa326325baa3ce08"
    assert manifest.digest == expected


def _digest_cell_by_cell(manifest: Manifest) -> str:
    """The digest as its docstring tells it, one cell at a time."""
    header = json.dumps(manifest.header.model_dump(), sort_keys=True, ensure_ascii=False).encode()
    parts = [f"{len(header)}:".encode(), header, f":{len(manifest.table)} rows".encode()]
    for column in COLUMNS:
        parts.append(f":{column.name}:{column.dtype_name}:".encode())
        cells = manifest.table[column.name].tolist()
        if column.dtype_name == "text":
            texts = [None if pd.isna(cell) else cell.encode() for cell in cells]
            parts += [struct.pack("<q", -1 if text is None else len(text)) for text in texts]
            parts += [text or b"" for text in texts]
        else:
            code = "<q" if column.dtype_name == "int64" else "<d"
            parts += [struct.pack(code, cell) for cell in cells]
    return hashlib.sha256(b"".join(parts)).hexdigest()


def test_digest__equals_one_made_cell_by_cell(manifest: Manifest) -> None:
    assert manifest.digest == _digest_cell_by_cell(manifest)
    part = replace(manifest, table=manifest.table.iloc[1:3])
    assert part.digest == _digest_cell_by_cell(part)


def test_digest__ignores_storage_of_rows(manifest: Manifest) -> None:
    halves = pd.concat([manifest.table.iloc[:2], manifest.table.iloc[2:]])
    as_objects = halves.astype({"video_id": object, "group": object, "label": "int32"})
    shuffled_columns = as_objects[sorted(as_objects.columns)]
    assert replace(manifest, table=shuffled_columns).digest == manifest.digest
    negative_zero = manifest.table.assign(start_sec=[-0.0, 1.5, -0.0, 0.1])
    assert replace(manifest, table=negative_zero).digest == manifest.digest


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("video_id", "run/A"),
        ("path", "run/a.mp5"),
        ("split", "test"),
        ("start_sec", 1e-9),
        ("end_sec", 1.0),
        ("num_frames", 25),
        ("fps", 24.5),
        ("width", 81),
        ("height", 81),
        ("group", None),
        ("sha256", "b" * 64),
    ],
)
def test_digest__every_column_counts(manifest: Manifest, column: str, value: object) -> None:
    table = manifest.table.copy()
    table.loc[0, column] = value
    assert replace(manifest, table=table).digest != manifest.digest


def test_digest__header_and_order_count(manifest: Manifest, header: ManifestHeader) -> None:
    other_header = header.model_copy(update={"licence": "other"})
    assert replace(manifest, header=other_header).digest != manifest.digest
    backwards = manifest.table.iloc[::-1]
    assert replace(manifest, table=backwards).digest != manifest.digest


def test_digest__moving_a_character_between_cells_counts(manifest: Manifest) -> None:
    first = manifest.table.assign(group=["ab", "c", None, None])
    second = manifest.table.assign(group=["a", "bc", None, None])
    assert replace(manifest, table=first).digest != replace(manifest, table=second).digest


def test_write_csv__is_plain_to_read(manifest: Manifest, tmp_path: Path) -> None:
    path = tmp_path / "manifest.csv"
    no_commas = manifest.table.assign(label=0, class_name="run")
    write_manifest(replace(manifest, table=no_commas), path)
    lines = path.read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith("# featkd-manifest {")
    assert json.loads(lines[0].removeprefix("# featkd-manifest "))["dataset"] == "tiny"
    assert lines[1].startswith("video_id,path,label,")
    assert lines[2] == f"run/a,run/a.mp4,0,run,train,0,,24,24,80,80,g1,{'a' * 64}"


def test_write_parquet__opens_elsewhere(manifest: Manifest, tmp_path: Path) -> None:
    path = tmp_path / "manifest.parquet"
    write_manifest(manifest, path)
    assert pd.read_parquet(path)["label"].tolist() == [0, 1, 2, 0]
    assert b"featkd-manifest" in pq.read_schema(path).metadata


def test_read_manifest__tolerates_what_spreadsheets_do(manifest: Manifest, tmp_path: Path) -> None:
    path = tmp_path / "manifest.CSV"
    write_manifest(manifest, path)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    assert read_manifest(path).digest == manifest.digest


def test_read_manifest__root(manifest: Manifest, tmp_path: Path) -> None:
    path = tmp_path / "manifest.csv"
    write_manifest(manifest, path)
    assert read_manifest(path).root == tmp_path
    other = tmp_path / "videos"
    with pytest.raises(ManifestError, match=r"root .*videos of .*manifest\.csv is not a folder"):
        read_manifest(path, root=other)
    other.mkdir()
    assert read_manifest(path, root=other).clips("val")[0].path == other / "wave/c é.mkv"


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_write_manifest__failure_leaves_the_old_file(
    manifest: Manifest, suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / f"manifest{suffix}"
    write_manifest(manifest, path)
    before = path.read_bytes()

    def full_disk(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full_disk)
    shorter = replace(manifest, table=manifest.table.iloc[:2])
    with pytest.raises(ManifestError, match=r"manifest\..* cannot be written: No space left"):
        write_manifest(shorter, path)
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_write_manifest__refuses_other_suffixes(manifest: Manifest, tmp_path: Path) -> None:
    path = tmp_path / "manifest.xlsx"
    with pytest.raises(ManifestError, match=r"manifest\.xlsx .*'\.xlsx'; expected \.csv or"):
        write_manifest(manifest, path)
    assert not path.exists()


def test_write_manifest__missing_folder(manifest: Manifest, tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"nowhere/m\.csv cannot be written: No such file"):
        write_manifest(manifest, tmp_path / "nowhere" / "m.csv")
