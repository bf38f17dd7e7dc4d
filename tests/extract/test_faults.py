"""Disks that fill or cannot be written, processes that stop, clocks that go back: nothing is lost.

What a killed process leaves is in test_extract.py, what flipped bytes do in tests/cache.
"""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from featkd.cache import ArraySpec, FolderStore
from featkd.cache.verify import verify
from featkd.errors import CacheError, CacheLockedError
from featkd.experiment import Workspace, distill
from featkd.extract import extract
from featkd.extract.repair import repair
from featkd.recipes import dump_recipe

MakeWorkspace = Callable[..., Workspace]
RunWithMount = Callable[..., subprocess.CompletedProcess[str]]

LARGE_TAP = "extract.taps=[Conv3d_2c_3x3.full]"


@pytest.fixture
def work(tmp_path: Path, extracted: Path) -> Path:
    """A copy of the extracted experiment, to be changed."""
    shutil.copytree(extracted, tmp_path / "work")
    return tmp_path / "work"


def save_recipe_of(workspace: Workspace) -> Path:
    path = workspace.folder / "recipe.yaml"
    path.write_text(dump_recipe(workspace.recipe))
    return path


def digests(cache: Path) -> dict[str, str]:
    with FolderStore.open(cache) as store:
        names = [array.name for layer in store.layers().values() for array in layer.arrays]
        rows = range(store.num_rows)
        return {
            name: hashlib.sha256(store.read_rows(name, rows).numpy().tobytes()).hexdigest()
            for name in names
        }


def marks(cache: Path) -> dict[str, tuple[int, int]]:
    return {
        path.relative_to(cache).as_posix(): (path.stat().st_ino, path.stat().st_mtime_ns)
        for folder in ("arrays", "commits")
        for path in (cache / folder).rglob("*")
        if path.is_file() and path.name != "zarr.json"
    }


FILL_DISK = """
import hashlib, json, subprocess, sys, time
from pathlib import Path
import torch
torch.set_num_threads(1)
from featkd.cache import FolderStore
from featkd.errors import StorageFullError
from featkd.experiment import Workspace
from featkd.extract import extract
from featkd.recipes import load_recipe
from featkd.types import Silent

workspace = Workspace(load_recipe(sys.argv[1]))
cache = workspace.cache_path
ballast = cache / "ballast"

class FillsTheDisk(Silent):
    def track(self, items, **_):
        for number, item in enumerate(items):
            if number == 12:
                while not committed():  # of part 0, whose rows have gone through
                    time.sleep(0.01)
                with ballast.open("wb", buffering=0) as file:
                    try:
                        while file.write(bytes(4096)):
                            pass
                    except OSError:
                        pass
            yield item

def committed():
    return {path.name: path.stat().st_ino for path in cache.glob("commits/teacher/*.json")}

try:
    extract(workspace)
except StorageFullError as error:
    print("refused:", error, flush=True)
print(len(committed()), flush=True)

subprocess.run(["mount", "-o", "remount,size=4m", cache], check=True)
try:
    extract(workspace, FillsTheDisk())
except StorageFullError as error:
    print("stopped:", error, flush=True)
before = committed()
print(len(before), flush=True)
with FolderStore.open(cache) as store:
    rows = [row for part in store.committed_parts("teacher") for row in store.part_range(part)]
    print(bool(store.read_rows("logits", rows).isfinite().all()), flush=True)

ballast.unlink()
print(extract(workspace).num_computed, flush=True)
after = committed()
print(all(after[name] == inode for name, inode in before.items()), flush=True)
with FolderStore.open(cache) as store:
    names = [array.name for layer in store.layers().values() for array in layer.arrays]
    print(json.dumps({
        name: hashlib.sha256(store.read_rows(name, range(store.num_rows)).numpy()).hexdigest()
        for name in names
    }))
"""


def test_full_disk__refuses_to_start_stops_on_the_way_and_goes_on(
    work: Path, make_workspace: MakeWorkspace, run_with_mount: RunWithMount
) -> None:
    workspace = make_workspace(work, LARGE_TAP)
    shutil.rmtree(work / "cache")
    extract(workspace)
    expected = digests(work / "cache")
    shutil.rmtree(work / "cache")
    (work / "cache").mkdir()
    result = run_with_mount(
        f"mount -t tmpfs -o size=120k tmpfs {work}/cache", FILL_DISK, save_recipe_of(workspace)
    )
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[0].startswith(f"refused: {work}/cache needs about")
    assert "make room, or keep less" in lines[0]
    assert lines[1] == "0"
    assert lines[2].startswith(f"stopped: {work}/cache has no room left (0 bytes free)")
    assert "the committed parts are safe" in lines[2]
    num_committed = int(lines[3])
    assert 1 <= num_committed < 5
    assert lines[4] == "True"
    assert int(lines[5]) == 24 - 5 * num_committed
    assert lines[6] == "True"
    assert json.loads(lines[7]) == expected


READ_ONLY = """
import sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from featkd.errors import CacheError
from featkd.experiment import Workspace
from featkd.extract import extract
from featkd.extract.repair import repair
from featkd.extract.replay import replay
from featkd.recipes import load_recipe

recipe = load_recipe(sys.argv[1])
print(extract(Workspace(recipe)).num_computed, replay(Workspace(recipe), num_rows=3).different)
more = recipe.extract.model_copy(update={"taps": ("Mixed_4f.pooled",)})
for work in (extract, repair):
    try:
        work(Workspace(recipe.model_copy(update={"extract": more})))
    except CacheError as error:
        print(error)
"""


def test_read_only_disk__can_be_read_and_says_so(
    work: Path, make_workspace: MakeWorkspace, run_with_mount: RunWithMount
) -> None:
    recipe = save_recipe_of(make_workspace(work))
    before = marks(work / "cache")
    mount = f"mount --bind {work} {work} && mount -o remount,ro,bind {work}"
    result = run_with_mount(mount, READ_ONLY, recipe)
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[0] == "0 ()"
    for line in lines[1:3]:
        assert line.startswith(f"{work}/cache cannot be written: [Errno 30] Read-only file system")
    assert marks(work / "cache") == before


SLOW_EXTRACTION = """
import sys
import time
import torch
torch.set_num_threads(1)
from featkd.experiment import Workspace
from featkd.extract import extract
from featkd.recipes import load_recipe
from featkd.types import Silent

class Slow(Silent):
    def track(self, items, **_):
        for item in items:
            time.sleep(0.05)
            yield item

extract(Workspace(load_recipe(sys.argv[1])), Slow())
"""


def test_stopped_process__keeps_its_right_and_goes_on(
    work: Path, extracted: Path, make_workspace: MakeWorkspace
) -> None:
    shutil.rmtree(work / "cache")
    workspace = make_workspace(work)
    commits = work / "cache" / "commits" / "teacher"
    process = subprocess.Popen([sys.executable, "-c", SLOW_EXTRACTION, save_recipe_of(workspace)])
    try:
        deadline = time.monotonic() + 60
        while len(list(commits.glob("*.json"))) < 2:
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.005)
        process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, process.pid, os.WSTOPPED)
        before = {path: path.stat().st_ino for path in commits.glob("*.json")}
        assert 2 <= len(before) < 5
        with pytest.raises(
            CacheLockedError, match=f"is being written by process {process.pid} on .*; wait until"
        ):
            extract(make_workspace(work))
        with pytest.raises(CacheLockedError):
            repair(make_workspace(work))
        with FolderStore.open(work / "cache") as store:  # readers are not kept waiting
            assert store.read_rows("logits", range(10)).isfinite().all()
        process.send_signal(signal.SIGCONT)
        assert process.wait(timeout=60) == 0
    finally:
        process.kill()
        process.wait()
    assert {path: path.stat().st_ino for path in before} == before
    assert digests(work / "cache") == digests(extracted / "cache")
    assert extract(make_workspace(work)).num_computed == 0


def test_clock_set_back__changes_nothing(
    work: Path, extracted: Path, make_workspace: MakeWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What counts is what files say, never when they were written."""
    cache = work / "cache"
    (cache / "commits/teacher/000001.json").unlink()
    (cache / "commits/teacher/000003.json").unlink()
    future = time.time() + 10 * 365 * 86400
    for path in work.rglob("*"):
        os.utime(path, (future, future))
    before = marks(cache)
    monkeypatch.setattr(time, "time", lambda: 0.0)
    monkeypatch.setattr(time, "time_ns", lambda: 0)
    assert extract(make_workspace(work)).num_computed == 10
    after = marks(cache)
    changed = {name for name in after if after[name] != before.get(name)}
    assert all("c.1." in n or "c.3." in n or n.endswith(("c.1", "c.3", "1.json", "3.json"))
               for n in changed)  # fmt: skip
    assert digests(cache) == digests(extracted / "cache")
    assert verify(cache).damages == ()
    assert distill(make_workspace(work, "student.training.num_epochs=1"), "kd", 0)


def test_clock_set_back__a_reader_sees_a_header_of_the_same_time(work: Path) -> None:
    header = work / "cache" / "featkd.json"
    with FolderStore.open(work / "cache") as reader:
        assert list(reader.layers()) == ["teacher"]
        written = header.stat().st_mtime_ns
        with FolderStore.open_for_writing(work / "cache") as writer:
            writer.add_layer("more", [ArraySpec(name="more", shape=(), dtype="float32")], {})
        os.utime(header, ns=(written, written))
        assert list(reader.layers()) == ["teacher", "more"]


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        pytest.param(Path.unlink, "is missing", id="missing"),
        pytest.param(
            lambda path: path.write_bytes(path.read_bytes()[:-9]), r"has \d+ bytes", id="truncated"
        ),
    ],
)
def test_lost_shard__is_told_at_training_and_repaired(
    work: Path,
    make_workspace: MakeWorkspace,
    spoil: Callable[[Path], object],
    problem: str,
) -> None:
    expected = digests(work / "cache")
    shard = work / "cache" / "arrays" / "logits" / "c.2.0"
    spoil(shard)
    workspace = make_workspace(work, "student.training.num_epochs=1")
    with pytest.raises(CacheError, match=rf"logits/c\.2\.0 {problem}.*featkd cache repair"):
        distill(workspace, "kd", 0)
    assert [item.path for item in verify(work / "cache", digests=False).damages] == [
        "arrays/logits/c.2.0"
    ]
    assert repair(workspace).retracted == {"teacher": [2]}
    assert digests(work / "cache") == expected
