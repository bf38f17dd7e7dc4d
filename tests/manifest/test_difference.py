from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from featkd.manifest import Change, Manifest, compare_manifests

ManifestOf = Callable[..., Manifest]

ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "video_id": st.sampled_from("abcdef"),
            "split": st.sampled_from(["train", "test"]),
            "end_sec": st.none() | st.sampled_from([1.0, 2.0]),
            "group": st.none() | st.sampled_from("gh"),
            "num_frames": st.integers(0, 2),
        }
    ),
    min_size=1,
    max_size=6,
    unique_by=lambda row: row["video_id"],
)


@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(old=ROWS, new=ROWS)
def test_compare__equals_comparing_dicts(
    manifest_of: ManifestOf, old: list[dict], new: list[dict]
) -> None:
    for rows in (old, new):
        for row in rows:
            row["path"] = f"{row['video_id']}.mp4"
    found = compare_manifests(manifest_of(old), manifest_of(new))
    before, after = ({row["video_id"]: row for row in rows} for rows in (old, new))
    assert found.removed == tuple(name for name in before if name not in after)
    assert found.added == tuple(name for name in after if name not in before)
    changed = {
        name: {
            field: Change(before[name][field], row[field])
            for field in row
            if before[name][field] != row[field]
        }
        for name, row in after.items()
        if name in before
    }
    assert found.changed == {name: fields for name, fields in changed.items() if fields}
    both = [name for name in after if name in before]
    assert found.reordered == (both != [name for name in before if name in after])
    assert found.is_empty == (manifest_of(old).digest == manifest_of(new).digest)


def test_compare__header_and_classes(manifest: Manifest) -> None:
    header = manifest.header.model_copy(
        update={"licence": "MIT", "classes": (*manifest.header.classes, "sit")}
    )
    found = compare_manifests(manifest, replace(manifest, header=header))
    assert found.header == {"licence": Change("CC0", "MIT")}
    assert found.classes == {3: Change(None, "sit")}
    assert not found.changed
    assert not found.is_empty


def test_compare__counts_by_field(manifest: Manifest) -> None:
    table = manifest.table.assign(split="train", sha256=None)
    found = compare_manifests(manifest, replace(manifest, table=table))
    assert found.num_changed() == {"split": 2, "sha256": 3}
    assert found.changed["run/a"] == {"sha256": Change("a" * 64, None)}


def test_compare__roots_do_not_count(manifest: Manifest) -> None:
    assert compare_manifests(manifest, replace(manifest, root=Path("elsewhere"))).is_empty


def test_compare__order(manifest: Manifest) -> None:
    backwards: pd.DataFrame = manifest.table.iloc[::-1]
    found = compare_manifests(manifest, replace(manifest, table=backwards))
    assert found.reordered
    assert not found.changed
