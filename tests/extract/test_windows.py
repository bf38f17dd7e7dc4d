"""Extraction for detection: rows are views of windows of untrimmed videos."""

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
from featkd.cache.verify import verify
from featkd.errors import FingerprintError, UsageError
from featkd.experiment.detection.frozen_detector import FrozenDetector
from featkd.experiment.detection.frozen_modules import load_teacher_detector
from featkd.experiment.detection.workspace import DetectionWorkspace
from featkd.extract import extract
from featkd.extract.plan import plan
from featkd.extract.prune import prune
from featkd.extract.repair import repair
from featkd.extract.replay import replay
from featkd.flow import FlowStore
from featkd.flow.store import FlowHeader
from featkd.manifest import (
    annotations_path,
    read_annotations,
    read_manifest,
    write_annotations,
)
from featkd.models import preprocess
from featkd.recipes import dump_recipe
from featkd.video import crc32_of, read_frames, render

MakeWorkspace = Callable[..., DetectionWorkspace]
Arrays = dict[str, torch.Tensor]

CPU = torch.device("cpu")
TAP = "extract.taps=[Mixed_4e.pooled]"


@pytest.fixture
def work(tmp_path: Path, extracted_windows: Path) -> Path:
    """A copy of the extracted experiment, to be changed."""
    shutil.copytree(extracted_windows, tmp_path / "work")
    return tmp_path / "work"


def arrays_of(folder: Path) -> Arrays:
    with FolderStore.open(folder / "cache") as store:
        names = [array.name for layer in store.layers().values() for array in layer.arrays]
        rows = store.layout.row_numbers().tolist()
        return {name: store.read_rows(name, rows) for name in names}


def assert_equal(found: Arrays, expected: Arrays) -> None:
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        assert torch.equal(values, found[name]), name


def test_extract__every_row_is_what_the_detector_says_of_its_window(
    extracted_windows: Path, make_detection_workspace: MakeWorkspace
) -> None:
    workspace = make_detection_workspace(extracted_windows)
    arrays = arrays_of(extracted_windows)
    assert set(arrays) == {
        "coarse_logits", "refined_logits", "view_crc32", "frames_crc32",
        "features/Mixed_4f.full", "features/Mixed_5c.full",
    }  # fmt: skip
    with FolderStore.open(extracted_windows / "cache") as store:
        table = store.rows
    windows = workspace.train_clips()
    assert len(table) == 2 * len(windows) == 12
    assert table["video_id"].tolist() == [name for name in windows.video_ids() for _ in range(2)]
    network = FrozenDetector(workspace).network
    for row in range(len(table)):
        window = windows[row // 2]
        view = workspace.recipe.views.train.draw(seed=0, clip=window, view_index=row % 2)
        inside = [index for index in view.frame_indices if index < window.num_frames]
        frames = read_frames(window, inside)
        missing = 32 - len(inside)
        assert (missing > 0) == (window.video_id == "train_short@000000")
        frames = np.concatenate([frames, np.full((missing, *frames.shape[1:]), 128, np.uint8)])
        assert arrays["frames_crc32"][row].item() == crc32_of(torch.from_numpy(frames))
        pixels = render(frames, view, 32)
        assert arrays["view_crc32"][row].item() == crc32_of(pixels)
        with torch.no_grad():
            said = network(preprocess(pixels[None], workspace.recipe.teacher.preprocess, CPU))
        expected = {
            "coarse_logits": said.detections.coarse_logits[0],
            "refined_logits": said.detections.refined_logits[0],
            "features/Mixed_4f.full": said.features["Mixed_4f"][0],
            "features/Mixed_5c.full": said.features["Mixed_5c"][0],
        }
        for name, value in expected.items():
            torch.testing.assert_close(arrays[name][row], value, atol=1e-5, rtol=1e-5)


def test_extract__leaves_the_detector_and_computes_nothing_twice(
    extracted_windows: Path, make_detection_workspace: MakeWorkspace
) -> None:
    workspace = make_detection_workspace(extracted_windows)
    summary = extract(workspace)
    assert (summary.num_rows, summary.num_computed, summary.num_failed) == (12, 0, 0)
    frozen = FrozenDetector(workspace)
    with FolderStore.open(extracted_windows / "cache") as store:
        assert store.module_names() == ["teacher_detector"]
        maps = {
            layer: store.read_rows(f"features/{layer}.full", [0, 1])
            for layer in ("Mixed_4f", "Mixed_5c")
        }
        said = load_teacher_detector(store, CPU)(maps)
        cached = store.read_rows("refined_logits", [0, 1])
        torch.testing.assert_close(said.refined_logits, cached, atol=1e-5, rtol=1e-5)
        fingerprint = store.layers()["teacher"].fingerprint
    assert fingerprint == frozen.fingerprint
    assert fingerprint["teacher.num_levels"] == 3
    assert fingerprint["views.stride"] == 16
    assert set(map(type, fingerprint.values())) <= {str, int, float, bool, list, type(None)}


def test_extract__adds_a_tap_and_prune_takes_it_away(
    work: Path, make_detection_workspace: MakeWorkspace
) -> None:
    before = arrays_of(work)
    extract(make_detection_workspace(work, TAP, "views.train.num_views=3"))
    after = arrays_of(work)
    assert after.pop("features/Mixed_4e.pooled").shape == (18, 33)
    assert_equal({name: values[:12] for name, values in after.items()}, before)
    pruning = prune(make_detection_workspace(work))
    assert pruning.arrays == ("features/Mixed_4e.pooled",)
    assert set(arrays_of(work)) == set(before)


def test_replay__finds_no_difference(work: Path, make_detection_workspace: MakeWorkspace) -> None:
    workspace = make_detection_workspace(work)
    found = replay(workspace, num_rows=9, seed=1)
    assert (found.num_rows, found.different) == (9, ())
    assert set(found.num_exact.values()) == {9}
    assert set(found.worst_relative_l2) == {
        "coarse_logits", "refined_logits", "features/Mixed_4f.full", "features/Mixed_5c.full",
    }  # fmt: skip


def test_repair__computes_damaged_parts_and_the_detector_again(
    work: Path, make_detection_workspace: MakeWorkspace
) -> None:
    before = arrays_of(work)
    part = work / "cache" / "arrays" / "coarse_logits" / "c.1.0.0"
    part.write_bytes(part.read_bytes()[:-3])
    module = work / "cache" / "modules" / "teacher_detector.safetensors"
    module.write_bytes(module.read_bytes()[:100])
    summary = repair(make_detection_workspace(work))
    assert summary.still_damaged == []
    assert summary.retracted == {"teacher": [1]}
    assert summary.restored == ["modules/teacher_detector"]
    assert_equal(arrays_of(work), before)
    assert verify(work / "cache").damages == ()


def test_plan__of_windows(
    extracted_windows: Path, tmp_path: Path, make_detection_workspace: MakeWorkspace
) -> None:
    (tmp_path / "teacher").symlink_to(extracted_windows / "teacher")
    planned = plan(make_detection_workspace(tmp_path), num_rows=3)
    assert (planned.num_rows, planned.num_rows_missing, planned.trial.num_rows) == (12, 12, 3)
    assert {array.spec.name for array in planned.arrays} == set(arrays_of(extracted_windows))
    assert not (tmp_path / "cache").exists()
    complete = plan(make_detection_workspace(extracted_windows), num_rows=3)
    assert complete.num_rows_missing == 0


@pytest.mark.parametrize(
    ("override", "field"),
    [
        pytest.param("views.train.stride=8", r"views\.stride is 16 in the cache", id="stride"),
        pytest.param("seed=1", r"views\.seed is 0 in the cache", id="seed"),
        pytest.param("extract.precision=bfloat16", r"teacher\.precision", id="precision"),
        pytest.param(
            "extract.codecs={logits: {dtype: float16}}", r"codec\.coarse_logits", id="codec"
        ),
    ],
)
def test_extract__a_cache_of_something_else_is_refused(
    extracted_windows: Path, make_detection_workspace: MakeWorkspace, override: str, field: str
) -> None:
    with pytest.raises(FingerprintError, match=field):
        extract(make_detection_workspace(extracted_windows, override))


def test_extract__other_annotations_are_refused(
    extracted_windows: Path, tmp_path: Path, make_detection_workspace: MakeWorkspace
) -> None:
    manifest = make_detection_workspace(extracted_windows).recipe.data.manifest
    shutil.copytree(manifest.parent, tmp_path / "data")
    other = tmp_path / "data" / "manifest.csv"
    own = f"data.manifest={other}"
    annotations = read_annotations(annotations_path(other))
    shuffled = annotations.table.sample(frac=1, random_state=0)
    write_annotations(type(annotations)(annotations.header, shuffled), annotations_path(other))
    assert read_manifest(other).digest == read_manifest(manifest).digest
    assert extract(make_detection_workspace(extracted_windows, own)).num_computed == 0

    moved = annotations.table.assign(end_sec=annotations.table["end_sec"] + 0.1)
    of_test = annotations.table["video_id"] == "test_c"
    moved_test = annotations.table.where(~of_test, moved)
    write_annotations(type(annotations)(annotations.header, moved_test), annotations_path(other))
    assert extract(make_detection_workspace(extracted_windows, own)).num_computed == 0
    write_annotations(type(annotations)(annotations.header, moved), annotations_path(other))
    with pytest.raises(FingerprintError, match=r"annotations\.digest is '[0-9a-f]{64}' in the"):
        extract(make_detection_workspace(extracted_windows, own))


@pytest.mark.parametrize(
    ("override", "message"),
    [
        pytest.param("views.train.num_frames=64", "num_frames 32, and views.train.num_frames",
                     id="window"),
        pytest.param("views.train.sample_fps=5", "sample_fps 10.0, and views.train.sample_fps",
                     id="rate"),
    ],
)  # fmt: skip
def test_frozen_detector__of_other_windows_is_refused(
    extracted_windows: Path, make_detection_workspace: MakeWorkspace, override: str, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        FrozenDetector(make_detection_workspace(extracted_windows, override))


def test_extract__in_half_precision_is_near(
    extracted_windows: Path, tmp_path: Path, make_detection_workspace: MakeWorkspace
) -> None:
    (tmp_path / "teacher").symlink_to(extracted_windows / "teacher")
    extract(make_detection_workspace(tmp_path, "extract.precision=bfloat16"))
    found, expected = arrays_of(tmp_path), arrays_of(extracted_windows)
    name = "features/Mixed_5c.full"
    assert 0 < (found[name] - expected[name]).norm() / expected[name].norm() < 0.05
    assert torch.equal(found["view_crc32"], expected["view_crc32"])


def test_extract__on_flow(
    tmp_path: Path,
    make_detection_workspace: MakeWorkspace,
    save_untrained: Callable[[DetectionWorkspace], None],
) -> None:
    """Flow belongs to videos, whose names windows do not have."""
    workspace = make_detection_workspace(
        tmp_path,
        "teacher.preprocess={size: 32, modality: flow}",
        "student.preprocess={size: 32, modality: flow}",
        f"data.flow={tmp_path}/flow",
    )
    header = FlowHeader(
        method="tvl1", parameters={"Tau": 0.25}, short_side=None, bound_pixels=20.0, opencv="5.0",
        decoder="none",
    )  # fmt: skip
    store = FlowStore.begin(tmp_path / "flow", header)
    flows = {}
    for seed, clip in enumerate(workspace.manifest.clips("train")):
        shape = (clip.num_frames - 1, 36, 48, 2)
        flows[clip.video_id] = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
        store.write(clip, flows[clip.video_id])
    save_untrained(workspace)
    summary = extract(workspace)
    assert (summary.num_computed, summary.num_failed) == (12, 0)
    assert replay(workspace, num_rows=12).different == ()
    with FolderStore.open(tmp_path / "cache") as cache:
        fingerprint = cache.layers()["teacher"].fingerprint
        assert fingerprint["preprocess.modality"] == "flow"
        checksum = cache.read_rows("view_crc32", [11]).item()
    short = workspace.train_clips()[5]
    view = workspace.recipe.views.train.draw(seed=0, clip=short, view_index=1)
    frames = np.full((32, 36, 48, 2), 128, dtype=np.uint8)  # standing still
    frames[:20] = flows["train_short"][1::2]
    frames[20] = flows["train_short"][-1]
    assert checksum == crc32_of(render(frames, view, 32))


SLOW_EXTRACTION = """
import sys
import time
import torch
torch.set_num_threads(1)
from featkd.experiment.open_workspace import open_workspace
from featkd.extract import extract
from featkd.recipes import load_any_recipe

class Shown:
    def track(self, items, *, description, total, unit, done=0):
        for number, item in enumerate(items):
            if number == 8:
                print("under way", flush=True)
                time.sleep(600)
            yield item
    def note(self, message): pass

extract(open_workspace(load_any_recipe(sys.argv[1])), Shown())
"""


def test_extract__killed_half_way_ends_with_equal_arrays(
    tmp_path: Path, extracted_windows: Path, make_detection_workspace: MakeWorkspace
) -> None:
    workspace = make_detection_workspace(tmp_path)
    (tmp_path / "teacher").symlink_to(extracted_windows / "teacher")
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(dump_recipe(workspace.recipe))
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW_EXTRACTION, str(recipe)], stdout=subprocess.PIPE
    )
    commits = tmp_path / "cache" / "commits" / "teacher"
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"under way\n"
        deadline = time.monotonic() + 60
        while not [*commits.glob("*.json")] and time.monotonic() < deadline:
            time.sleep(0.02)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
    before = {path.name: path.stat().st_ino for path in commits.glob("*.json")}
    assert list(before) == ["000000.json"]
    assert extract(workspace).num_computed == 7
    for name, inode in before.items():
        assert (commits / name).stat().st_ino == inode, "a committed part was written again"
    assert_equal(arrays_of(tmp_path), arrays_of(extracted_windows))
