"""What a format can hold comes back equal; what it cannot hold is named."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from featkd.manifest import Manifest, compare_manifests
from featkd.manifest.formats import FORMATS, complete, export_manifest, left_out
from featkd.manifest.schema import COLUMN_NAMES

DrawManifest = Callable[..., Manifest]

# Drawn inside the tests: what a format holds depends on the format.
examples = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def _trip(manifest: Manifest, name: str, root: Path | None = None) -> tuple[object, pd.DataFrame]:
    """Header and table after a manifest went through a format; rows in their first order."""
    with TemporaryDirectory() as folder:
        place = Path(folder) / "export"
        export_manifest(manifest, FORMATS[name], place)
        partial = FORMATS[name].read(place, root or place)
    return partial.header, partial.table


def _assert_same_rows(found: pd.DataFrame, expected: pd.DataFrame, columns: list[str]) -> None:
    """Equal values in these columns; a format may put one split behind the other."""
    one, other = (
        frame[columns].astype(object).where(frame[columns].notna(), None).to_dict("records")
        for frame in (found, expected)
    )

    def by_path(rows: list[dict]) -> list[dict]:
        return sorted(rows, key=lambda row: row["path"])

    assert by_path(one) == by_path(other)
    for split in expected["split"].unique():
        assert [r["path"] for r in one if r["split"] == split] == [
            r["path"] for r in other if r["split"] == split
        ]


SPACELESS = st.text(
    st.characters(exclude_categories=("Cs", "Cc", "Zs", "Zl", "Zp"), exclude_characters="/\\:"),
    min_size=1,
    max_size=8,
).filter(lambda name: name not in {".", ".."} and not re.search(r"\s", name))
STRIPPED = st.text(
    st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp"), exclude_characters="/\\:"),
    min_size=1,
    max_size=8,
).filter(lambda name: name == name.strip() and name not in {".", ".."})
VISIBLE = SPACELESS.filter(lambda name: not name.startswith("."))
LISTED = {
    "mmaction2": {"paths": SPACELESS, "classes": STRIPPED, "splits": VISIBLE},
    "slowfast": {"paths": SPACELESS, "splits": st.sampled_from(["train", "val", "test"])},
    "pytorchvideo": {"paths": STRIPPED, "splits": VISIBLE},
}


# How their own loaders take a list apart.
LOADERS = {
    "mmaction2": lambda text: [line.strip().split(" ") for line in text.strip("\n").split("\n")],
    "slowfast": lambda text: [line.split(" ") for line in text.splitlines()],
    "pytorchvideo": lambda text: [line.rsplit(None, 1) for line in text.splitlines()],
}


@pytest.mark.parametrize("name", LISTED)
@examples
@given(data=st.data())
def test_lists__as_their_own_loaders_read_them(
    draw_manifest: DrawManifest, name: str, data: st.DataObject
) -> None:
    manifest = draw_manifest(data, clips=False, **LISTED[name])
    with TemporaryDirectory() as folder:
        export_manifest(manifest, FORMATS[name], Path(folder) / "export")
        for split, rows in manifest.table.groupby("split"):
            path = Path(folder) / "export" / f"{split}{FORMATS[name].suffix}"
            pairs = [(video, int(label)) for video, label in LOADERS[name](path.read_text("utf-8"))]
            assert pairs == list(zip(rows["path"], rows["label"], strict=True))


@pytest.mark.parametrize("name", LISTED)
@examples
@given(data=st.data())
def test_lists__any_manifest(draw_manifest: DrawManifest, name: str, data: st.DataObject) -> None:
    manifest = draw_manifest(data, clips=False, **LISTED[name])
    header, table = _trip(manifest, name)
    assert header.classes == manifest.header.classes
    _assert_same_rows(table, manifest.table, ["path", "label", "class_name", "split"])


WORDS = st.from_regex(r"[A-Za-z0-9_ßé]{1,8}", fullmatch=True)


@examples
@given(data=st.data())
def test_videofolder__any_manifest(draw_manifest: DrawManifest, data: st.DataObject) -> None:
    manifest = draw_manifest(data, splits=WORDS)
    header, table = _trip(manifest, "videofolder")
    assert header.classes == manifest.header.classes
    assert header.dataset == manifest.header.dataset
    expected = manifest.table
    if not all(map(str.startswith, expected["path"], expected["split"] + "/")):
        expected["path"] = expected["split"] + "/" + expected["path"]
    kept = [name for name in COLUMN_NAMES if name in table]
    _assert_same_rows(table, expected, kept)
    for name in set(COLUMN_NAMES) - set(kept):
        assert manifest.table[name].isna().all()


@examples
@given(data=st.data())
def test_videofolder__completes_to_the_same_manifest(
    draw_manifest: DrawManifest, data: st.DataObject
) -> None:
    tree = st.tuples(st.just("train"), SPACELESS, SPACELESS).map("/".join)
    manifest = draw_manifest(data, paths=tree, splits=st.just("train"))
    with TemporaryDirectory() as folder:
        place = Path(folder) / "export"
        export_manifest(manifest, FORMATS["videofolder"], place)
        result = complete(FORMATS["videofolder"].read(place, place), place)
    found = compare_manifests(manifest, result.manifest)
    lost = {name.removeprefix("header.") for name in left_out(manifest, FORMATS["videofolder"])}
    assert set(found.header) <= {"version", "protocol", "source", "licence"}
    assert lost <= {"version", "protocol", "source", "licence"}
    assert replace(found, header={}).is_empty


@examples
@given(data=st.data())
def test_croissant__any_manifest(draw_manifest: DrawManifest, data: st.DataObject) -> None:
    manifest = draw_manifest(data)
    with TemporaryDirectory() as folder:
        place = Path(folder) / "export"
        export_manifest(manifest, FORMATS["croissant"], place)
        result = complete(FORMATS["croissant"].read(place, place), place)
    assert result.manifest.digest == manifest.digest
    assert left_out(manifest, FORMATS["croissant"]) == ()
