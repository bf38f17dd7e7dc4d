"""A writer may die or fill the disk at any moment: what is committed stays, the rest is redone."""

import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from featkd.cache import ArraySpec, FolderStore
from featkd.cache.zarr_files import ZarrFiles
from featkd.errors import CacheError, StorageFullError

NUM_PARTS = 16
PART_ROWS = 4
SPEC = ArraySpec(name="features/a.full", shape=(64, 8, 8), dtype="float16")

WRITE_ALL = f"""
import sys
from pathlib import Path
import numpy as np
from featkd.cache import FolderStore
from featkd.errors import StorageFullError

store = FolderStore.open_for_writing(Path(sys.argv[1]))
print("writing", flush=True)
for part in range(store.num_parts):
    values = np.random.default_rng(part).normal(size=(4, 64, 8, 8)).astype(np.float16)
    try:
        store.write_part("teacher", part, {{"{SPEC.name}": values}}, {{}}, {{}})
    except StorageFullError as error:
        print(len(store.committed_parts("teacher")), "full:", error)
        break
"""


def part_values(part: int) -> np.ndarray:
    return np.random.default_rng(part).normal(size=(PART_ROWS, *SPEC.shape)).astype(np.float16)


def write(store: FolderStore, part: int) -> None:
    store.write_part("teacher", part, {SPEC.name: part_values(part)}, {}, {})


def shards(path: Path) -> dict[str, tuple[int, int]]:
    folder = path / "arrays" / SPEC.name
    return {
        shard.name: (shard.stat().st_ino, shard.stat().st_mtime_ns) for shard in folder.glob("c.*")
    }


def resume(path: Path) -> set[int]:
    """Write what is missing, check everything, and return the parts that were there already."""
    with FolderStore.open_for_writing(path) as store:
        done = store.committed_parts("teacher")
        before = shards(path)
        for part in sorted(set(range(store.num_parts)) - done):
            write(store, part)
        after = shards(path)
        for part in range(store.num_parts):
            name = f"c.{part}.0.0.0"
            assert (before.get(name) == after[name]) == (part in done)
            found = store.read_rows(SPEC.name, store.part_range(part))
            assert np.array_equal(found, part_values(part))
    return done


@pytest.fixture
def cache(tmp_path, make_rows):
    path = tmp_path / "cache"
    with FolderStore.create(path, make_rows(NUM_PARTS * PART_ROWS), part_rows=PART_ROWS) as store:
        store.add_layer("teacher", [SPEC], {})
    return path


def test_killed_writer__loses_only_the_part_at_hand(cache, tmp_path):
    script = tmp_path / "write.py"
    script.write_text(WRITE_ALL)
    with subprocess.Popen([sys.executable, script, cache]) as writer:
        commits = cache / "commits/teacher"
        deadline = time.monotonic() + 30
        while len(list(commits.glob("*.json"))) < 3:
            assert time.monotonic() < deadline
            assert writer.poll() is None
            time.sleep(0.001)
        writer.kill()
    assert writer.returncode == -signal.SIGKILL
    done = resume(cache)
    assert 3 <= len(done) < NUM_PARTS


@pytest.mark.parametrize("step", ["write_part", "digest_file"])
def test_interruption__between_shard_and_commit(cache, monkeypatch, step):
    owner = ZarrFiles if step == "write_part" else sys.modules["featkd.cache.folder_store"]
    original = getattr(owner, step)

    def write_then_die(*args: object) -> None:
        original(*args)
        raise KeyboardInterrupt

    with FolderStore.open_for_writing(cache) as store:
        write(store, 0)
        with monkeypatch.context() as patch:
            patch.setattr(owner, step, write_then_die)
            with pytest.raises(KeyboardInterrupt):
                write(store, 1)
        assert "c.1.0.0.0" in shards(cache)
        assert store.committed_parts("teacher") == {0}
        with pytest.raises(CacheError, match="row 4"):
            store.read_rows(SPEC.name, [4])
    assert resume(cache) == {0}


def test_leftover_shard__is_overwritten(cache):
    folder = cache / "arrays" / SPEC.name
    (folder / "c.0.0.0.0").write_bytes(b"half a shard")
    (folder / "c.1.0.0.0.__lock").write_bytes(b"half a shard")
    assert resume(cache) == set()
    assert {path.name for path in folder.iterdir()} == {
        "zarr.json",
        *(f"c.{part}.0.0.0" for part in range(NUM_PARTS)),
    }


def test_add_layer__killed_before_it_was_recorded(tmp_path, make_rows, monkeypatch):
    def die(*_args: object) -> None:
        raise KeyboardInterrupt

    with FolderStore.create(tmp_path / "cache", make_rows(4), part_rows=PART_ROWS) as store:
        with monkeypatch.context() as patch:
            patch.setattr("featkd.cache.folder_store.HeaderFile.replace", die)
            with pytest.raises(KeyboardInterrupt):
                store.add_layer("teacher", [SPEC], {})
        assert store.layers() == {}
        wider = SPEC.model_copy(update={"dtype": "float32"})
        store.add_layer("teacher", [wider], {})
        store.write_part("teacher", 0, {SPEC.name: part_values(0).astype(np.float32)}, {}, {})
        assert np.array_equal(store.read_rows(SPEC.name, range(4)), part_values(0))


def test_full_disk__real(cache, tmp_path, run_with_mount):
    disk = tmp_path / "disk"
    disk.mkdir()
    # The sample table and metadata take about 20 kB, a part about 30 kB.
    mount = f"mount -t tmpfs -o size=300k tmpfs {disk} && cp -r {cache}/. {disk}"
    result = run_with_mount(mount, WRITE_ALL, disk)
    assert result.returncode == 0, result.stderr
    num_committed, message = result.stdout.splitlines()[1].split(maxsplit=1)
    assert 3 <= int(num_committed) < NUM_PARTS
    assert message.startswith(f"full: {disk} has no room left (")
    assert "the committed parts are safe" in message


def test_full_disk__file_size_limit(cache):
    with FolderStore.open_for_writing(cache) as store:
        write(store, 0)
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
        try:
            with pytest.raises(StorageFullError, match=r"has no room left \(\d+ bytes free\)"):
                write(store, 1)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert resume(cache) == {0}


def full(*_args: object) -> None:
    raise OSError(28, "No space left on device")


def test_full_disk__at_the_commit_record(cache, monkeypatch):
    with FolderStore.open_for_writing(cache) as store:
        with monkeypatch.context() as patch:
            patch.setattr("featkd.cache.commit_log.replace_file", full)
            with pytest.raises(StorageFullError, match="run the same command again"):
                write(store, 0)
        assert store.committed_parts("teacher") == set()
    assert resume(cache) == set()


def test_full_disk__at_a_module(cache, monkeypatch):
    with FolderStore.open_for_writing(cache) as store:
        with monkeypatch.context() as patch:
            patch.setattr("featkd.durable.os.fsync", full)
            patch.setattr("featkd.durable.sync_folder", lambda folder: None)
            with pytest.raises(StorageFullError, match="no room left"):
                store.save_module("cvae", {}, {"channels": 4})
        assert store.module_names() == []
        assert list((cache / "modules").iterdir()) == []


def test_read_only_folder__can_be_read(cache, run_with_mount):
    with FolderStore.open_for_writing(cache) as store:
        write(store, 0)
    code = """
import sys
from pathlib import Path
from featkd.cache import FolderStore
from featkd.errors import CacheError

path = Path(sys.argv[1])
store = FolderStore.open(path)
print(store.read_rows("features/a.full", [2, 1]).shape, len(store.rows))
try:
    FolderStore.open_for_writing(path)
except CacheError as error:
    print(error)
"""
    mount = f"mount --bind {cache} {cache} && mount -o remount,ro,bind {cache}"
    result = run_with_mount(mount, code, cache)
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[0] == f"torch.Size([2, 64, 8, 8]) {NUM_PARTS * PART_ROWS}"
    assert lines[1].startswith(f"{cache} cannot be written: ")
