import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from featkd.cache import ArraySpec, FolderStore
from featkd.errors import CacheError, CacheLockedError
from featkd.experiment import Workspace, represent
from featkd.extract import extract
from featkd.extract.prune import needed_arrays, prune

MakeWorkspace = Callable[..., Workspace]

ONLY_KD = "distillers={none: {kind: none}, kd: {kind: kd}}"
KEPT = {"logits", "view_crc32", "frames_crc32"}


@pytest.fixture
def work(tmp_path: Path, extracted: Path) -> Path:
    shutil.copytree(extracted, tmp_path / "work")
    return tmp_path / "work"


def _names(folder: Path) -> set[str]:
    with FolderStore.open(folder / "cache") as store:
        return {array.name for layer in store.layers().values() for array in layer.arrays}


def test_needed_arrays__are_what_extract_and_represent_write(
    work: Path, make_workspace: MakeWorkspace
) -> None:
    workspace = make_workspace(work)
    represent(workspace)
    assert needed_arrays(workspace.recipe) == _names(work)
    assert prune(workspace).arrays == ()


@pytest.mark.parametrize(
    ("override", "more"),
    [
        (ONLY_KD, set()),
        (
            "distillers={at: {kind: at, layers: [Mixed_4f]}}",
            {"features/Mixed_4f.spatial_attention"},
        ),
        ("extract={taps: [Mixed_4f.pooled]}", {"features/Mixed_4f.pooled"}),
        ("extract={frames: {size: 32}}", {"frames/32"}),
    ],
)
def test_needed_arrays__follow_the_recipe(
    extracted: Path, make_workspace: MakeWorkspace, override: str, more: set[str]
) -> None:
    overrides = [override] if "distillers" in override else [ONLY_KD, override]
    assert needed_arrays(make_workspace(extracted, *overrides).recipe) == KEPT | more


def test_prune__layers_of_others_stay(work: Path, make_workspace: MakeWorkspace) -> None:
    with FolderStore.open_for_writing(work / "cache") as store:
        store.add_layer("mine", [ArraySpec(name="notes", shape=(), dtype="uint8")], {})
        rows = store.part_range(0)
        store.write_part("mine", 0, {"notes": np.ones(len(rows), dtype=np.uint8)}, {}, {})
    prune(make_workspace(work, ONLY_KD))
    assert _names(work) == KEPT | {"notes"}
    with FolderStore.open(work / "cache") as store:
        assert store.read_rows("notes", [1]).item() == 1


def test_prune__frees_the_bytes_it_says(work: Path, make_workspace: MakeWorkspace) -> None:
    def num_bytes() -> int:
        return sum(p.stat().st_size for p in (work / "cache/arrays").rglob("*") if p.is_file())

    workspace = make_workspace(work, ONLY_KD)
    before = num_bytes()
    freed = prune(workspace, dry_run=True).num_bytes
    assert num_bytes() == before
    assert prune(workspace).num_bytes == freed
    group_metadata = 58  # zarr.json of the group "features"
    assert before - num_bytes() == pytest.approx(freed, abs=group_metadata)


def test_prune__extraction_counts_what_is_left(work: Path, make_workspace: MakeWorkspace) -> None:
    workspace = make_workspace(work, ONLY_KD)
    before = extract(workspace)
    prune(workspace)
    after = extract(workspace)
    assert after.num_computed == 0
    assert after.num_bytes < before.num_bytes
    assert after.codec_errors.keys() == {"logits"}


def test_prune__waits_for_no_writer(work: Path, make_workspace: MakeWorkspace) -> None:
    workspace = make_workspace(work, ONLY_KD)
    with FolderStore.open_for_writing(work / "cache"):
        assert prune(workspace, dry_run=True).arrays
        with pytest.raises(CacheLockedError):
            prune(workspace)
    assert _names(work) > KEPT


def test_prune__without_a_cache(tmp_path: Path, make_workspace: MakeWorkspace) -> None:
    with pytest.raises(CacheError, match="is not a cache"):
        prune(make_workspace(tmp_path))
