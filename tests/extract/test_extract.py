import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from featkd.cache import FolderStore
from featkd.errors import CacheLockedError, FingerprintError
from featkd.experiment import FrozenTeacher, Workspace, taps_to_extract, train_teacher
from featkd.extract import extract
from featkd.manifest import Manifest, write_manifest
from featkd.models import save_network
from featkd.recipes import dump_recipe
from featkd.video import crc32_of, render_clip

MakeWorkspace = Callable[..., Workspace]


def arrays_of(folder: Path) -> dict[str, torch.Tensor]:
    with FolderStore.open(folder / "cache") as store:
        names = [array.name for layer in store.layers().values() for array in layer.arrays]
        return {name: store.read_rows(name, range(store.num_rows)) for name in names}


def test_extract__every_row_is_what_the_teacher_says_of_its_view(
    extracted: Path, make_workspace: MakeWorkspace
) -> None:
    workspace = make_workspace(extracted)
    taps = taps_to_extract(workspace.recipe)
    teacher = FrozenTeacher(workspace).with_taps(taps)
    clips = workspace.train_clips()
    spec = workspace.recipe.views.train
    arrays = arrays_of(extracted)
    checksums = {"view_crc32", "frames_crc32"}
    assert set(arrays) == {"logits", *checksums, *(f"features/{tap.key}" for tap in taps)}
    for row in (0, 7, 23):
        clip = clips[row // spec.num_views]
        view = spec.draw(seed=0, clip=clip, view_index=row % spec.num_views)
        rendered = render_clip(clip, view, [32])
        (pixels,) = rendered.pixels
        assert arrays["frames_crc32"][row].item() == rendered.frames_crc32
        logits, features = teacher(pixels[None])
        assert arrays["view_crc32"][row].item() == crc32_of(pixels)
        torch.testing.assert_close(arrays["logits"][row], logits[0], atol=1e-5, rtol=1e-5)
        for key, value in features.items():
            torch.testing.assert_close(
                arrays[f"features/{key}"][row], value[0], atol=1e-5, rtol=1e-5
            )


def test_extract__second_call_computes_nothing(
    extracted: Path, make_workspace: MakeWorkspace
) -> None:
    summary = extract(make_workspace(extracted))
    assert summary.num_computed == 0
    assert summary.num_rows == 24
    assert summary.num_failed == 0
    assert summary.num_bytes > 0


@pytest.mark.parametrize(
    ("override", "field"),
    [
        pytest.param("views.train={num_frames: 16, num_views: 2}", "horizontal_flip", id="view"),
        pytest.param("extract.precision=bfloat16", "teacher.precision", id="precision"),
        pytest.param("extract.dtype=float16", r"codec\.features/Mixed_5c\.full", id="codec"),
    ],
)
def test_extract__a_cache_of_something_else_is_refused(
    extracted: Path, make_workspace: MakeWorkspace, override: str, field: str
) -> None:
    with pytest.raises(FingerprintError, match=field):
        extract(make_workspace(extracted, override))


def test_extract__another_teacher_is_refused(
    tmp_path: Path, extracted: Path, make_workspace: MakeWorkspace
) -> None:
    workspace = make_workspace(tmp_path)
    train_teacher(workspace)
    (tmp_path / "cache").symlink_to(extracted / "cache")
    path = tmp_path / "teacher" / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1  # one bit of one weight
    path.write_bytes(content)
    with pytest.raises(FingerprintError, match=r"teacher\.weights_sha256"):
        extract(workspace)


def test_extract__failed_videos_cost_only_their_rows(
    tmp_path: Path, make_workspace: MakeWorkspace
) -> None:
    workspace = make_workspace(tmp_path)
    train_teacher(workspace)
    clips = workspace.train_clips()
    clips[1].path.write_bytes(clips[1].path.read_bytes()[:200])
    clips[5].path.unlink()
    table = workspace.manifest.table.copy()
    table.loc[table["video_id"] == clips[7].video_id, "num_frames"] = 0
    write_manifest(
        Manifest(workspace.manifest.header, table, workspace.manifest.root),
        workspace.recipe.data.manifest,
    )
    summary = extract(Workspace(workspace.recipe))
    assert set(summary.failed_videos) == {clips[i].video_id for i in (1, 5, 7)}
    assert summary.num_failed == 6
    assert clips[5].path.name in summary.failed_videos[clips[5].video_id]
    assert "manifest" in summary.failed_videos[clips[7].video_id]
    with FolderStore.open(tmp_path / "cache") as store:
        assert store.read_rows("logits", [0, 1, 4, 5]).isfinite().all()
        assert sorted(store.failures("teacher")) == [2, 3, 10, 11, 14, 15]


def test_extract__not_finite_features_are_refused(
    tmp_path: Path, make_workspace: MakeWorkspace
) -> None:
    workspace = make_workspace(tmp_path)
    train_teacher(workspace)
    teacher = FrozenTeacher(workspace)
    with torch.no_grad():
        teacher.network.backbone.logits.conv3d.bias[0] = float("nan")
    save_network(tmp_path / "teacher" / "model.safetensors", teacher.network, teacher.card)
    summary = extract(workspace)
    assert summary.num_failed == summary.num_rows
    assert all(
        f"logits of {video_id!r} is NaN" in reason
        for video_id, reason in summary.failed_videos.items()
    )


def test_extract__second_writer_is_told(
    tmp_path: Path, extracted: Path, make_workspace: MakeWorkspace
) -> None:
    shutil.copytree(extracted, tmp_path / "work")
    cache = tmp_path / "work" / "cache"
    (cache / "commits" / "teacher" / "000002.json").unlink()
    workspace = make_workspace(tmp_path / "work")
    with (
        FolderStore.open_for_writing(cache),
        pytest.raises(CacheLockedError, match=str(os.getpid())),
    ):
        extract(workspace)
    assert extract(workspace).num_computed == 5


def test_extract__a_finished_cache_can_be_asked_while_it_is_written_to(
    extracted: Path, make_workspace: MakeWorkspace
) -> None:
    with FolderStore.open_for_writing(extracted / "cache"):
        assert extract(make_workspace(extracted)).num_computed == 0


SLOW_EXTRACTION = """
import sys
import time
import torch
torch.set_num_threads(1)
from featkd.experiment import Workspace
from featkd.extract import extract
from featkd.recipes import load_recipe

class Shown:
    def track(self, items, *, description, total, unit, done=0):
        for item in items:
            time.sleep(0.01)
            yield item
    def note(self, message): pass

print("ready", flush=True)
extract(Workspace(load_recipe(sys.argv[1])), Shown())
"""


def test_extract__killed_at_random_moments_ends_with_equal_arrays(
    tmp_path: Path, extracted: Path, make_workspace: MakeWorkspace
) -> None:
    workspace = make_workspace(tmp_path)
    (tmp_path / "teacher").symlink_to(extracted / "teacher")
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(dump_recipe(workspace.recipe))
    generator = np.random.default_rng(0)
    commits = tmp_path / "cache" / "commits" / "teacher"
    seen: dict[str, int] = {}
    for _ in range(3):
        process = subprocess.Popen(
            [sys.executable, "-c", SLOW_EXTRACTION, str(recipe)], stdout=subprocess.PIPE
        )
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        time.sleep(generator.uniform(0.1, 0.6))
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        for path in sorted(commits.glob("*.json")) if commits.exists() else []:
            inode = path.stat().st_ino
            assert seen.setdefault(path.name, inode) == inode, "a committed part was written again"
    extract(workspace)
    for path in commits.glob("*.json"):
        assert seen.get(path.name, path.stat().st_ino) == path.stat().st_ino
    expected, found = arrays_of(extracted), arrays_of(tmp_path)
    assert expected.keys() == found.keys()
    for name, values in expected.items():
        assert torch.equal(values, found[name]), (name, (values - found[name]).abs().max())
