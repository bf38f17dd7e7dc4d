"""Repair redoes what is damaged, to the same values, and touches nothing else."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from featkd.cache import FolderStore
from featkd.cache.copy import copy_cache
from featkd.cache.verify import verify
from featkd.errors import CacheError, FingerprintError
from featkd.experiment import Workspace, represent
from featkd.extract import extract
from featkd.extract.repair import repair

MakeWorkspace = Callable[..., Workspace]
Mark = tuple[int, int]


@pytest.fixture(scope="module")
def represented(
    extracted: Path, make_workspace: MakeWorkspace, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A finished experiment with attention, modules and a layer that was added later."""
    folder = tmp_path_factory.mktemp("represented") / "work"
    shutil.copytree(extracted, folder)
    represent(make_workspace(folder))
    extract(make_workspace(folder, "extract.taps=[Mixed_4f.pooled]"))
    return folder


@pytest.fixture
def work(represented: Path, tmp_path: Path) -> Path:
    shutil.copytree(represented, tmp_path / "work")
    return tmp_path / "work"


@pytest.fixture
def hdf5_work(work: Path) -> Path:
    with FolderStore.open(work / "cache") as store:
        copy_cache(store, work / "hdf5", backend="hdf5", compression="gzip").close()
    shutil.rmtree(work / "cache")
    (work / "hdf5").rename(work / "cache")
    return work


def marks(cache: Path) -> dict[str, Mark]:
    return {
        path.relative_to(cache).as_posix(): (path.stat().st_ino, path.stat().st_mtime_ns)
        for path in cache.rglob("*")
        if path.is_file() and path.name not in {"writer.lock", "recipe.yaml"}
    }


def values(cache: Path) -> dict[str, torch.Tensor]:
    with FolderStore.open(cache) as store:
        found = {}
        for name, layer in store.layers().items():
            failed = store.failures(name)
            rows = [row for row in store.layout.row_numbers().tolist() if row not in failed]
            found |= {array.name: store.read_rows(array.name, rows) for array in layer.arrays}
        for module in store.module_names():
            state = store.load_module(module).state_dict
            found |= {f"{module}.{key}": value for key, value in state.items()}
        return found


def assert_equal(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert torch.equal(found[name], value), name


def flip(path: Path, position: int = 20) -> None:
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)


def changed(before: dict[str, Mark], after: dict[str, Mark]) -> set[str]:
    return {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}


def test_repair__redoes_only_what_is_damaged(work: Path, make_workspace: MakeWorkspace) -> None:
    cache = work / "cache"
    expected, before = values(cache), marks(cache)
    flip(cache / "arrays/features/Mixed_5c.full/c.1.0.0.0.0")
    (cache / "arrays/logits/c.3.0").unlink()
    shard = cache / "arrays/features/Mixed_4f.pooled/c.2.0"
    shard.write_bytes(shard.read_bytes()[:-7])
    flip(cache / "commits/representation/000004.json")
    flip(cache / "featkd.json")
    flip(cache / "rows/0.parquet")
    flip(cache / "arrays/logits/zarr.json")
    flip(cache / "zarr.json")
    damaged = {item.path for item in verify(cache).damages}
    assert damaged == {"featkd.json"}  # without it the rest cannot be told

    summary = repair(make_workspace(work))

    assert summary.still_damaged == []
    assert set(summary.restored) == {
        "featkd.json", "rows/0.parquet", "arrays/logits/zarr.json", "zarr.json",
    }  # fmt: skip
    assert summary.retracted == {"teacher": [1, 3], "teacher-2": [2], "representation": [4]}
    assert summary.rows_recomputed == 5 + 5 + 5 + 4
    assert verify(cache).damages == ()
    assert_equal(values(cache), expected)
    redone = {"teacher": (1, 3), "teacher-2": (2,), "representation": (4,)}
    files = {
        "featkd.json", "featkd.copy.json", "rows/0.parquet", "arrays/logits/zarr.json", "zarr.json",
    }  # fmt: skip
    with FolderStore.open(cache) as store:
        for layer, parts in redone.items():
            for part in parts:
                files |= {f"commits/{layer}/{part:06d}.json", *store.commit(layer, part).files}
    assert changed(before, marks(cache)) == files


def test_repair__of_hdf5(hdf5_work: Path, make_workspace: MakeWorkspace) -> None:
    cache = hdf5_work / "cache"
    expected, before = values(cache), marks(cache)
    flip(cache / "cache.h5")
    shutil.rmtree(cache / "arrays/logits")
    shutil.rmtree(cache / "rows")
    summary = repair(make_workspace(hdf5_work))
    assert summary.still_damaged == []
    assert summary.restored == ["rows/0.parquet", "cache.h5"]
    assert summary.retracted == {"teacher": [0, 1, 2, 3, 4]}
    assert_equal(values(cache), expected)
    assert not any("representation" in name for name in changed(before, marks(cache)))


def test_repair__of_a_sound_cache_touches_nothing(
    work: Path, make_workspace: MakeWorkspace
) -> None:
    before = marks(work / "cache")
    summary = repair(make_workspace(work), retry_failed=True)
    assert (summary.restored, summary.retracted, summary.still_damaged) == ([], {}, [])
    assert marks(work / "cache") == before


@pytest.mark.parametrize(
    ("name", "spoil"), [("cvae.safetensors", flip), ("cvae.json", Path.unlink)]
)
def test_repair__damaged_modules_are_trained_again(
    work: Path, make_workspace: MakeWorkspace, name: str, spoil: Callable[[Path], None]
) -> None:
    expected = values(work / "cache")
    spoil(work / "cache" / "modules" / name)
    summary = repair(make_workspace(work))
    assert summary.restored == ["modules/cvae"]
    assert summary.retracted == {"representation": [0, 1, 2, 3, 4]}
    assert summary.still_damaged == []
    assert_equal(values(work / "cache"), expected)
    assert (work / "representation" / "summary.json").is_file()


def test_repair__retries_rows_whose_video_was_put_right(
    work: Path, make_workspace: MakeWorkspace
) -> None:
    workspace = make_workspace(work, "extract.taps=[Mixed_4f.pooled]")
    recipe, clips = workspace.recipe, workspace.train_clips()
    expected = values(work / "cache")
    shutil.rmtree(work / "cache")
    shutil.rmtree(work / "representation")
    contents = [clips[index].path.read_bytes() for index in (1, 11)]
    for index in (1, 11):  # rows 2 and 3 of part 0, 22 and 23 of part 4
        clips[index].path.write_bytes(b"nothing")
    extract(Workspace(recipe))
    represent(Workspace(recipe))
    assert repair(Workspace(recipe)).retracted == {}
    assert repair(Workspace(recipe), retry_failed=True).retracted == {}  # still no videos
    clips[1].path.write_bytes(contents[0])
    before = marks(work / "cache")
    summary = repair(Workspace(recipe), retry_failed=True)
    assert summary.retracted == {"teacher": [0], "representation": [0]}
    touched = changed(before, marks(work / "cache"))
    assert touched
    assert all("c.0" in name or "000000" in name for name in touched)
    clips[11].path.write_bytes(contents[1])
    assert "representation" in repair(Workspace(recipe), retry_failed=True).retracted
    found = values(work / "cache")
    for name in ("logits", "features/Mixed_5c.full", "features/Mixed_4f.pooled"):
        assert torch.equal(found[name], expected[name]), name
    assert found["attention/Mixed_5c"].shape == expected["attention/Mixed_5c"].shape


@pytest.mark.parametrize("loss", ["missing", "another"])
def test_repair__keeps_what_could_not_be_computed_again(
    work: Path, make_workspace: MakeWorkspace, loss: str
) -> None:
    workspace = make_workspace(work)
    clips = workspace.train_clips()
    if loss == "missing":
        clips[4].path.unlink()
    else:
        clips[4].path.write_bytes(clips[5].path.read_bytes())
    shard = "arrays/features/Mixed_5c.full/c.1.0.0.0.0"
    flip(work / "cache" / shard)
    before = marks(work / "cache")
    summary = repair(workspace)
    assert summary.retracted == {}
    assert [item.path for item in summary.still_damaged] == [shard]
    assert marks(work / "cache") == before
    with FolderStore.open(work / "cache") as store:
        assert store.read_rows("logits", range(5, 10)).isfinite().all()


def test_repair__with_another_recipe_retracts_nothing(
    work: Path, make_workspace: MakeWorkspace
) -> None:
    (work / "cache/arrays/logits/c.3.0").unlink()
    before = marks(work / "cache")
    with pytest.raises(FingerprintError, match=r"views\.seed is 0 in the cache, but 7"):
        repair(make_workspace(work, "seed=7"))
    flip(work / "cache/rows/0.parquet")
    with pytest.raises(CacheError, match=r"rows/0\.parquet is damaged, and the recipe's views"):
        repair(make_workspace(work, "seed=7"))
    assert changed(before, marks(work / "cache")) == {"rows/0.parquet"}


def test_repair__header_and_copy_both_damaged(work: Path, make_workspace: MakeWorkspace) -> None:
    for name in ("featkd.json", "featkd.copy.json"):
        flip(work / "cache" / name, 200)
    with pytest.raises(CacheError, match="are both damaged; put one of them back"):
        repair(make_workspace(work))


def test_repair__no_cache(tmp_path: Path, make_workspace: MakeWorkspace) -> None:
    with pytest.raises(CacheError, match="is not a cache"):
        repair(make_workspace(tmp_path))
    assert not (tmp_path / "cache").exists()
