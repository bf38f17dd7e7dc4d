"""Manifests that are read in several batches, and what they cost."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from featkd.errors import ManifestError
from featkd.manifest import Manifest, ManifestHeader, read_manifest, write_manifest
from featkd.manifest.rows import restored_table
from featkd.manifest.structure import BATCH_ROWS

NUM_ROWS = 2 * BATCH_ROWS + 5
SUFFIXES = [".csv", ".parquet"]


@pytest.fixture(scope="module")
def large() -> Manifest:
    """Rows of three batches; the split 'late' begins in the last."""
    rows = np.arange(NUM_ROWS)
    table = pd.DataFrame(
        {
            "video_id": [f"v{row}" for row in rows],
            "path": [f"{row % 7}/v{row}.mp4" for row in rows],
            "label": rows % 2,
            "class_name": np.where(rows % 2, "wave", "run"),
            "split": np.where(rows < 2 * BATCH_ROWS, np.where(rows % 3, "train", "val"), "late"),
            "start_sec": rows / 4,
            "end_sec": np.where(rows % 5, rows / 4 + 1.5, np.nan),
            "num_frames": rows + 1,
            "fps": np.where(rows % 11, 25.0, 29.97),
            "width": 320,
            "height": 240,
            "group": [None if row % 4 == 0 else f"g{row // 2}" for row in rows],
            "sha256": [None if row % 6 == 0 else f"{row:064x}" for row in rows],
        }
    )
    header = ManifestHeader(
        dataset="large", version="1", classes=("run", "wave"), protocol="", source="", licence=""
    )
    return Manifest(header, table, Path("/videos"))


def test_manifest__gives_back_what_it_was_given(large: Manifest) -> None:
    table = large.table
    rows = np.arange(NUM_ROWS)
    assert table["video_id"].tolist() == [f"v{row}" for row in rows]
    assert table["class_name"].tolist() == np.where(rows % 2, "wave", "run").tolist()
    assert table["fps"].tolist() == np.where(rows % 11, 25.0, 29.97).tolist()
    assert table["sha256"].isna().tolist() == (rows % 6 == 0).tolist()
    assert table["sha256"][NUM_ROWS - 2] == f"{NUM_ROWS - 2:064x}"
    assert table["group"].isna().tolist() == (rows % 4 == 0).tolist()
    assert large.num_rows == len(table) == NUM_ROWS
    assert large.splits() == ("val", "train", "late")


def test_manifest__select_is_part_of_the_table(large: Manifest) -> None:
    names = ["split", "label"]
    pd.testing.assert_frame_equal(large.select(names), large.table[names])


def test_manifest__a_changed_table_leaves_it_alone(large: Manifest) -> None:
    table = large.table
    table.loc[0, "video_id"] = "other"
    assert large.table["video_id"][0] == "v0"


def test_manifest__rows_are_kept_small(large: Manifest) -> None:
    assert large.rows.nbytes < 0.6 * restored_table(large.rows).nbytes


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_read_manifest__several_batches(large: Manifest, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"manifest{suffix}"
    write_manifest(large, path)
    back = read_manifest(path)
    pd.testing.assert_frame_equal(back.table, large.table, check_exact=True)
    assert back.digest == large.digest


def test_manifest__faults_are_counted_over_all_batches(large: Manifest) -> None:
    table = large.table
    table.loc[[BATCH_ROWS + 9, NUM_ROWS - 1], "path"] = "../out.mp4"
    with pytest.raises(ManifestError) as caught:
        replace(large, table=table)
    assert f"row {BATCH_ROWS + 9} (counted from 0): column 'path'" in str(caught.value)
    assert "(2 rows are wrong in this way)" in str(caught.value)


def test_read_manifest__csv_line_behind_the_first_batch(large: Manifest, tmp_path: Path) -> None:
    path = tmp_path / "manifest.csv"
    write_manifest(large, path)
    lines = path.read_text(encoding="utf-8").splitlines()
    last = lines[-1]
    for wrong, words in (
        ("short,row", f"line {len(lines)} has 2 values, 'short,row'"),
        (last.replace(",320,240,", ",wide,240,"), f"line {len(lines)}: column 'width' is 'wide'"),
        (last.replace(",320,240,", ",-1,240,"), f"line {len(lines)}: column 'width' is -1"),
        (lines[2], f"line {len(lines)}: column 'video_id' is 'v0'; expected unique names, and li"),
    ):
        path.write_text("\n".join([*lines[:-1], wrong]), encoding="utf-8")
        with pytest.raises(ManifestError) as caught:
            read_manifest(path)
        assert words in str(caught.value)


def test_clips__one_by_one_as_all_at_once(large: Manifest) -> None:
    table = large.table[large.table["split"] == "train"]
    clips = large.clips("train")
    assert len(clips) == len(table)
    listed = list(clips)
    assert [clip.video_id for clip in listed] == table["video_id"].tolist()
    assert [clip.num_frames for clip in listed] == table["num_frames"].tolist()
    assert [clip.end_sec is None for clip in listed] == table["end_sec"].isna().tolist()
    for index in (0, 1, 4095, 4096, len(clips) // 2, -1):
        assert clips[index] == listed[index]
    assert clips[np.int64(7)] == listed[7]
    first = clips[0]
    assert (first.path, first.fps, type(first.num_frames)) == (Path("/videos/1/v1.mp4"), 25.0, int)


def test_clips__slices_and_bounds(large: Manifest) -> None:
    clips = large.clips("train")
    listed = list(clips)
    assert clips[5:4105:3] == listed[5:4105:3]
    assert list(clips[::-997]) == listed[::-997]
    assert clips[:3] != listed[1:4]
    assert clips[:3] != listed[:4]
    assert list(clips[:0]) == []
    with pytest.raises(IndexError):
        clips[len(clips)]


def test_import__without_torch_or_decoder() -> None:
    # They take as much memory as a manifest of a million videos.
    program = "import sys, featkd.manifest; print({'torch', 'av'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)
    assert done.stdout.strip() == b"set()"
