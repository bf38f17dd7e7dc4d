from pathlib import Path

import pandas as pd
import pytest
from pydantic import ValidationError

from featkd.errors import ManifestError
from featkd.manifest import COLUMNS, Manifest, ManifestHeader
from featkd.types import Clip


def test_splits__in_order_of_first_rows(manifest: Manifest) -> None:
    assert manifest.splits() == ("train", "val", "test")


def test_clips__are_the_rows_of_a_split(manifest: Manifest, tmp_path: Path) -> None:
    assert manifest.clips("train") == [
        Clip("run/a", tmp_path / "run/a.mp4", 0, 24, 80, 80, 24.0, 0.0, None),
        Clip("jump/b", tmp_path / "jump/b.avi", 1, 68, 320, 240, 29.97, 1.5, 4.25),
    ]
    assert type(manifest.clips("train")[0].label) is int


def test_clips__unreadable_videos_are_included(manifest: Manifest) -> None:
    assert [clip.num_frames for clip in manifest.clips("test")] == [0]


def test_clips__unknown_split(manifest: Manifest) -> None:
    with pytest.raises(ManifestError, match=r"'tiny': split 'tset' .* train, val, test"):
        manifest.clips("tset")


def test_manifest__leaves_the_given_table_alone(
    header: ManifestHeader, table: pd.DataFrame, tmp_path: Path
) -> None:
    before = table.copy(deep=True)
    manifest = Manifest(header, table.assign(group=["", "g2", "g3", "g4"]), tmp_path)
    pd.testing.assert_frame_equal(table, before)
    assert manifest.table["group"].isna().tolist() == [True, False, False, False]
    assert manifest.table.columns.tolist() == [column.name for column in COLUMNS]


@pytest.mark.parametrize(
    ("update", "words"),
    [
        ({"classes": ["run", "run"]}, "class 1 is 'run', as class 0 is; expected unique names"),
        ({"classes": ["run", " "]}, "class 1 is ' '"),
        ({"classes": ["a\nb"]}, r"class 0 is 'a\nb'"),
        ({"classes": []}, "at least 1"),
        ({"dataset": ""}, "at least 1"),
        ({"format": "featkd-manifest/2"}, "featkd-manifest/1"),
        ({"license": "x"}, "Extra inputs"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
)
def test_header__refuses(header: ManifestHeader, update: dict[str, object], words: str) -> None:
    with pytest.raises(ValidationError) as caught:
        ManifestHeader.model_validate(header.model_dump() | update)
    assert words in str(caught.value)
