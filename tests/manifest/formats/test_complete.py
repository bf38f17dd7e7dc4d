from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from featkd.errors import ManifestError
from featkd.manifest import Manifest
from featkd.manifest.formats import PartialManifest, complete

PATHS = ("c.mp4", "a.mp4", "b.mp4")


@pytest.fixture
def given(
    manifest_of: Callable[..., Manifest], encode: Callable[..., None], tmp_path: Path
) -> PartialManifest:
    """Three videos, of which only paths and classes are known."""
    for shade, path in enumerate(PATHS):
        encode(tmp_path / path, num_frames=4 + shade, shade=40 * shade)
    manifest = manifest_of([{"path": path} for path in PATHS])
    return PartialManifest(
        manifest.header, manifest.table[["path", "label", "class_name", "split"]]
    )


class StopsAfter:
    """A progress that stops the work after some items, and counts what it was told."""

    def __init__(self, num_items: int) -> None:
        self.num_items = num_items
        self.done: int | None = None

    def track(self, items: Iterable, *, done: int = 0, **_: object) -> Iterator:
        self.done = done
        for number, item in enumerate(items):
            if number == self.num_items:
                raise KeyboardInterrupt
            yield item

    def note(self, message: str) -> None:
        raise AssertionError(message)


def test_complete__measures_in_the_given_order(given: PartialManifest, tmp_path: Path) -> None:
    table = complete(given, tmp_path).manifest.table
    assert table["path"].tolist() == list(PATHS)
    assert table["video_id"].tolist() == ["c", "a", "b"]
    assert table["num_frames"].tolist() == [4, 5, 6]
    assert table["sha256"].nunique() == 3


def test_complete__goes_on_where_it_was_stopped(given: PartialManifest, tmp_path: Path) -> None:
    journal_path = tmp_path / ".journal"
    with pytest.raises(KeyboardInterrupt):
        complete(given, tmp_path, journal_path=journal_path, progress=StopsAfter(2), num_workers=1)
    again = StopsAfter(3)
    result = complete(given, tmp_path, journal_path=journal_path, progress=again, num_workers=1)
    assert again.done == 2
    assert result.manifest.digest == complete(given, tmp_path).manifest.digest
    assert not journal_path.exists()


def test_complete__another_checksum_is_a_doubt(given: PartialManifest, tmp_path: Path) -> None:
    claimed = replace(given, table=given.table.assign(sha256="0" * 64))
    result = complete(claimed, tmp_path)
    assert [warning.path for warning in result.warnings] == list(PATHS)
    assert f"its metadata say {'0' * 64}" in result.warnings[0].message


def test_complete__files_that_do_not_serve(given: PartialManifest, tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"no video")
    (tmp_path / "b.mp4").unlink()
    result = complete(given, tmp_path)
    assert [one.path for one in result.rejected] == ["a.mp4", "b.mp4"]
    assert result.with_rejected().table["num_frames"].tolist() == [0, 0, 4]
    (tmp_path / "c.mp4").unlink()
    with pytest.raises(ManifestError, match=r"none of its 3 videos serves"):
        complete(given, tmp_path)
