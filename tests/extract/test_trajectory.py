"""The logits of the teacher's training become a layer of the cache, like any other."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from featkd.cache import FolderStore
from featkd.cache.copy import copy_cache
from featkd.cache.verify import verify
from featkd.errors import FingerprintError, RequirementError, StorageFullError
from featkd.experiment import Workspace, train_teacher
from featkd.extract import extract
from featkd.extract.plan import plan
from featkd.extract.prune import prune
from featkd.extract.repair import repair

MakeWorkspace = Callable[..., Workspace]

NONE = "distillers={none: {kind: none}}"
REPLAYED = "distillers={r: {kind: collaborative, scratch_source: trajectory, layers: [Mixed_5c]}}"
SETTINGS = (
    "teacher.training.record_logits=true",
    "teacher.training.num_epochs=3",
    "teacher.training.batch_size=5",
)
NUM_VIEWS, NUM_ROWS = 2, 24


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory, make_workspace: MakeWorkspace) -> Path:
    """An extracted experiment whose teacher recorded its training; do not change it."""
    folder = tmp_path_factory.mktemp("recorded") / "work"
    train_teacher(make_workspace(folder, *SETTINGS, REPLAYED))
    extract(make_workspace(folder, *SETTINGS, REPLAYED))
    return folder


@pytest.fixture
def work(tmp_path: Path, recorded: Path) -> Path:
    shutil.copytree(recorded, tmp_path / "work")
    return tmp_path / "work"


def trajectory(cache: Path) -> np.ndarray:
    with FolderStore.open(cache) as store:
        return store.read_rows("trajectory", range(NUM_ROWS)).numpy()


def marks(cache: Path) -> dict[str, tuple[int, int]]:
    return {
        path.relative_to(cache).as_posix(): (path.stat().st_ino, path.stat().st_mtime_ns)
        for folder in ("arrays", "commits")
        for path in (cache / folder).rglob("*")
        if path.is_file() and path.name != "zarr.json"
    }


def test_extract__every_row_has_the_epochs_that_showed_it(recorded: Path) -> None:
    file = np.load(recorded / "teacher" / "trajectory.npy")
    found = trajectory(recorded / "cache")
    assert found.shape == (NUM_ROWS, 2, 3)
    assert found.dtype == np.float16
    for row in range(NUM_ROWS):
        clip, view_index = divmod(row, NUM_VIEWS)
        # Epochs 1 and 3 showed view 0, epoch 2 alone showed view 1.
        epochs = [1, 3] if view_index == 0 else [2, 2]
        expected = [file[(epoch - 1) // 2, (epoch - 1) % 2, clip] for epoch in epochs]
        np.testing.assert_array_equal(found[row], np.stack(expected))
    assert 0 < np.isnan(found).mean() < 0.5


def test_extract__adds_the_trajectory_alone(work: Path, make_workspace: MakeWorkspace) -> None:
    cache, expected = work / "cache", trajectory(work / "cache")
    with FolderStore.open_for_writing(cache) as store:
        store.remove_arrays(["trajectory"])
    before = marks(cache)
    assert extract(make_workspace(work, *SETTINGS, NONE)).num_computed == 0
    summary = extract(make_workspace(work, *SETTINGS, REPLAYED))
    after = marks(cache)
    assert summary.num_computed == NUM_ROWS
    assert {name: after[name] for name in before} == before
    assert all("/trajectory/" in name for name in after.keys() - before.keys())
    np.testing.assert_array_equal(trajectory(cache), expected)
    assert extract(make_workspace(work, *SETTINGS, REPLAYED)).num_computed == 0


def test_extract__goes_on_where_it_stopped(work: Path, make_workspace: MakeWorkspace) -> None:
    cache, expected = work / "cache", trajectory(work / "cache")
    (cache / "commits" / "trajectory" / "000004.json").unlink()
    before = marks(cache)
    # What the recipe compresses with by now does not matter to a layer that was begun.
    workspace = make_workspace(work, *SETTINGS, REPLAYED, "extract.compression=zstd")
    assert extract(workspace).num_computed == 4  # the last part is shorter
    assert {name for name, mark in marks(cache).items() if before.get(name) != mark} == {
        "arrays/trajectory/c.4.0.0", "commits/trajectory/000004.json",
    }  # fmt: skip
    np.testing.assert_array_equal(trajectory(cache), expected)


def test_extract__the_teacher_recorded_nothing(
    work: Path, extracted: Path, make_workspace: MakeWorkspace
) -> None:
    with pytest.raises(RequirementError, match=r"record_logits=true: featkd train"):
        extract(make_workspace(extracted, REPLAYED))
    shutil.rmtree(work / "cache")
    with pytest.raises(RequirementError, match="trained with other settings than the recipe has"):
        extract(make_workspace(work, *SETTINGS, REPLAYED, "teacher.training.num_epochs=4"))
    assert not (work / "cache").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(lambda file: file[:-2], r"trajectory\.npy is damaged", id="short"),
        pytest.param(lambda file: b"", r"trajectory\.npy is damaged", id="empty"),
        pytest.param(
            lambda file: file.replace(b"(2, 2, 12, 3)", b"(2, 2, 3, 12)"),
            r"\(2, 2, 3, 12\); expected float16 \(2, 2, 12, 3\)",
            id="shape",
        ),
    ],
)
def test_extract__the_file_is_damaged(
    work: Path,
    make_workspace: MakeWorkspace,
    content: Callable[[bytes], bytes],
    message: str,
) -> None:
    shutil.rmtree(work / "cache")
    file = work / "teacher" / "trajectory.npy"
    file.write_bytes(content(file.read_bytes()))
    with pytest.raises(RequirementError, match=message):
        extract(make_workspace(work, *SETTINGS, REPLAYED))


def test_extract__another_file_does_not_complete_a_layer(
    work: Path, make_workspace: MakeWorkspace
) -> None:
    (work / "cache" / "commits" / "trajectory" / "000000.json").unlink()
    file = work / "teacher" / "trajectory.npy"
    file.write_bytes(file.read_bytes()[:-2] + b"\0\0")
    with pytest.raises(FingerprintError, match=r"trajectory\.sha256"):
        extract(make_workspace(work, *SETTINGS, REPLAYED))


def test_extract__no_room_for_the_trajectory(
    work: Path, make_workspace: MakeWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FolderStore.open_for_writing(work / "cache") as store:
        store.remove_arrays(["trajectory"])
    num_bytes = NUM_ROWS * 2 * 3 * 2
    monkeypatch.setattr("featkd.extract.space.free_bytes", lambda path: num_bytes - 1)
    with pytest.raises(StorageFullError):
        extract(make_workspace(work, *SETTINGS, REPLAYED))
    monkeypatch.setattr("featkd.extract.space.free_bytes", lambda path: num_bytes)
    assert extract(make_workspace(work, *SETTINGS, REPLAYED)).num_computed == NUM_ROWS


def test_plan__counts_the_trajectory(work: Path, make_workspace: MakeWorkspace) -> None:
    def planned() -> tuple[int, float]:
        made = plan(make_workspace(work, *SETTINGS, REPLAYED), num_rows=1)
        (array,) = [array for array in made.arrays if array.spec.name == "trajectory"]
        assert array.spec.shape == (2, 3)
        return array.num_rows_missing, array.row_bytes

    assert planned() == (0, 12)
    (work / "cache" / "commits" / "trajectory" / "000000.json").unlink()
    assert planned() == (5, 12)
    shutil.rmtree(work / "cache")
    assert planned() == (NUM_ROWS, 12)
    made = plan(make_workspace(work, *SETTINGS, NONE), num_rows=1)
    assert "trajectory" not in {array.spec.name for array in made.arrays}


def test_copy_cache__keeps_the_trajectory(work: Path) -> None:
    expected = trajectory(work / "cache")
    with FolderStore.open(work / "cache") as store:
        copy_cache(store, work / "converted", backend="hdf5", compression="gzip").close()
        rows = [7, 20, 3]
        copy_cache(store, work / "part", backend="zarr", compression="lz4", rows=rows).close()
    np.testing.assert_array_equal(trajectory(work / "converted"), expected)
    with FolderStore.open(work / "part") as store:
        found = store.read_rows("trajectory", range(3)).numpy()
    np.testing.assert_array_equal(found, expected[rows])
    for copy in ("converted", "part"):
        assert verify(work / copy).damages == ()


def test_prune__where_nobody_replays_it(work: Path, make_workspace: MakeWorkspace) -> None:
    assert prune(make_workspace(work, *SETTINGS, REPLAYED)).arrays == ()
    pruned = prune(make_workspace(work, *SETTINGS, NONE)).arrays
    assert set(pruned) == {"trajectory", "features/Mixed_5c.spatial_attention"}
    with FolderStore.open(work / "cache") as store:
        assert list(store.layers()) == ["teacher"]


def damage(cache: Path) -> str:
    name = "arrays/trajectory/c.1.0.0"
    content = bytearray((cache / name).read_bytes())
    content[10] ^= 1
    (cache / name).write_bytes(content)
    return name


def test_repair__copies_a_damaged_part_again(work: Path, make_workspace: MakeWorkspace) -> None:
    cache, expected = work / "cache", trajectory(work / "cache")
    before = marks(cache)
    name = damage(cache)
    summary = repair(make_workspace(work, *SETTINGS, REPLAYED))
    assert summary.retracted == {"trajectory": [1]}
    assert summary.rows_recomputed == 5
    assert summary.still_damaged == []
    np.testing.assert_array_equal(trajectory(cache), expected)
    changed = {file for file, mark in marks(cache).items() if before[file] != mark}
    assert changed == {name, "commits/trajectory/000001.json"}


@pytest.mark.parametrize("reason", ["missing", "another", "unwanted"])
def test_repair__keeps_what_cannot_be_copied_again(
    work: Path, make_workspace: MakeWorkspace, reason: str
) -> None:
    name = damage(work / "cache")
    file = work / "teacher" / "trajectory.npy"
    if reason == "missing":
        file.unlink()
    elif reason == "another":
        file.write_bytes(file.read_bytes()[:-2] + b"\0\0")
    before = marks(work / "cache")
    distillers = NONE if reason == "unwanted" else REPLAYED
    summary = repair(make_workspace(work, *SETTINGS, distillers))
    assert summary.retracted == {}
    assert [item.path for item in summary.still_damaged] == [name]
    assert marks(work / "cache") == before
