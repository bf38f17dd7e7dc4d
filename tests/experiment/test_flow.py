"""Networks that see flow: from a folder of it to students, and what is refused on the way."""

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from featkd.cache import FolderStore
from featkd.errors import FingerprintError, FlowError, UsageError
from featkd.experiment import (
    FrozenTeacher,
    Workspace,
    distill,
    evaluate_run,
    sweep,
    train_teacher,
)
from featkd.experiment.sweep_member import Member
from featkd.experiment.teacher import teacher_run
from featkd.extract import extract
from featkd.extract.replay import replay
from featkd.flow import FlowStore
from featkd.flow.store import FlowHeader
from featkd.models import load_network
from featkd.video import crc32_of, render

MakeWorkspace = Callable[..., Workspace]

HEADER = FlowHeader(
    method="tvl1",
    parameters={"Tau": 0.25},
    short_side=None,
    bound_pixels=20.0,
    opencv="5.0",
    decoder="none",
)
SETTINGS = (
    "teacher.preprocess={size: 32, modality: flow}",
    "student.preprocess={size: 24, modality: flow}",
    "views.train.horizontal_flip=true",
    "extract.frames={size: 24}",
    "extract.taps=[]",
    "distillers={none: {kind: none}, kd: {kind: kd}}",
)


def random_flow(seed: int, num_frames: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (num_frames, 20, 20, 2), dtype=np.uint8)


def on_flow(make_workspace: MakeWorkspace, folder: Path, *more: str) -> Workspace:
    return make_workspace(folder, *SETTINGS, f"data.flow={folder}/flow", *more)


def put_flow(workspace: Workspace, folder: Path, header: FlowHeader = HEADER) -> None:
    """Made-up flow of every video."""
    store = FlowStore.begin(folder, header)
    for split in workspace.manifest.splits():
        for seed, clip in enumerate(workspace.manifest.clips(split)):
            store.write(clip, random_flow(seed, clip.num_frames - 1))


@pytest.fixture(scope="module")
def folder(make_workspace: MakeWorkspace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A work folder with a teacher on flow and its cache. Tests must not change it."""
    folder = tmp_path_factory.mktemp("flow")
    workspace = on_flow(make_workspace, folder)
    put_flow(workspace, folder / "flow")
    train_teacher(workspace)
    summary = extract(workspace)
    assert (summary.num_rows, summary.num_failed) == (24, 0)
    return folder


@pytest.fixture
def own(folder: Path, tmp_path: Path) -> Path:
    shutil.copytree(folder, tmp_path / "work")
    return tmp_path / "work"


def test_extract__shows_the_teacher_flow(folder: Path, make_workspace: MakeWorkspace) -> None:
    workspace = on_flow(make_workspace, folder)
    _, network = load_network(workspace.teacher_folder / "model.safetensors")
    assert next(network.parameters()).shape[1] == 2
    clips = workspace.train_clips()
    spec = workspace.recipe.views.train
    flipped = set()
    with FolderStore.open(workspace.cache_path) as store:
        for row in (0, 1, 7, 12, 23):
            position, view_index = divmod(row, 2)
            view = spec.draw(seed=0, clip=clips[position], view_index=view_index)
            flipped.add(view.flip)
            flow = random_flow(position, clips[position].num_frames - 1)
            frames = np.stack([flow[min(i, len(flow) - 1)] for i in view.frame_indices])
            crc = crc32_of(render(frames, view, 32))
            assert int(store.read_rows("view_crc32", [row]).item()) == crc
            (kept,) = store.read_rows("frames/24", [row])
            np.testing.assert_array_equal(kept.numpy(), render(frames, view, 24).numpy())
    assert flipped == {False, True}
    found = replay(workspace, num_rows=24)
    assert (found.num_rows, found.different) == (24, ())


def test_fingerprint__names_modality_and_method(
    folder: Path, extracted: Path, make_workspace: MakeWorkspace
) -> None:
    with FolderStore.open(folder / "cache") as store:
        flow = store.layers()["teacher"].fingerprint
    assert flow["preprocess.modality"] == "flow"
    assert (flow["flow.method"], flow["flow.Tau"]) == ("tvl1", 0.25)
    assert "decoder" not in flow
    with FolderStore.open(extracted / "cache") as store:
        colours = store.layers()["teacher"].fingerprint
    assert "decoder" in colours
    assert not [name for name in colours if "flow" in name or "modality" in name]


@pytest.mark.parametrize("from_teacher", ["false", "true"])
def test_distill__on_flow_is_the_same_cached_and_live(
    own: Path, make_workspace: MakeWorkspace, from_teacher: str
) -> None:
    workspace = on_flow(make_workspace, own, f"student.init_from_teacher={from_teacher}")
    losses = {}
    for signal, label in (("cached", "kd"), ("live", "kd+live")):
        assert distill(workspace, "kd", 0, signal=signal)
        folder = workspace.student_folder(label, 0)
        assert evaluate_run(workspace, folder).num_videos == 6
        epochs = (folder / "metrics.jsonl").read_text().splitlines()
        losses[label] = [json.loads(line)["train.kd"] for line in epochs]
    assert losses["kd"] == pytest.approx(losses["kd+live"], rel=1e-3)


def test_sweep__on_flow_equals_distill(own: Path, make_workspace: MakeWorkspace) -> None:
    workspace = on_flow(make_workspace, own, "extract.frames=null")
    sweep(workspace, [Member("kd", 0)])
    swept = (workspace.student_folder("kd", 0) / "model.safetensors").read_bytes()
    shutil.rmtree(workspace.student_folder("kd", 0))
    distill(workspace, "kd", 0)
    assert (workspace.student_folder("kd", 0) / "model.safetensors").read_bytes() == swept


def test_cache__of_another_method_is_refused(own: Path, make_workspace: MakeWorkspace) -> None:
    shutil.rmtree(own / "flow")
    workspace = on_flow(make_workspace, own)
    put_flow(workspace, own / "flow", HEADER.model_copy(update={"method": "dis"}))
    with pytest.raises(FingerprintError, match=r"flow\.method is 'tvl1' in the cache"):
        extract(workspace)


def test_cache__of_other_flow_is_refused(own: Path, make_workspace: MakeWorkspace) -> None:
    workspace = on_flow(make_workspace, own, "extract.frames=null")
    store = FlowStore(own / "flow")
    clip = workspace.train_clips()[0]
    store.write(clip, random_flow(99, clip.num_frames - 1))
    with pytest.raises(FingerprintError, match="frames_crc32"):
        distill(workspace, "kd", 0)


def test_extract__stops_where_flow_was_not_computed(
    own: Path, make_workspace: MakeWorkspace
) -> None:
    """It is no failure of a video: recorded as such, every row would be without data."""
    shutil.rmtree(own / "cache")
    workspace = on_flow(make_workspace, own)
    FlowStore(own / "flow").path_of(workspace.train_clips()[5]).unlink()
    with pytest.raises(FlowError, match="featkd flow"):
        extract(workspace)


def test_extract__records_why_a_video_has_no_flow(own: Path, make_workspace: MakeWorkspace) -> None:
    shutil.rmtree(own / "cache")
    workspace = on_flow(make_workspace, own)
    clip = workspace.train_clips()[5]
    store = FlowStore(own / "flow")
    store.path_of(clip).unlink()
    store.write_failure(clip, "the video ends too early")
    summary = extract(workspace)
    assert summary.failed_videos == {clip.video_id: "the video ends too early"}


def test_frozen_teacher__of_another_modality_is_refused(
    own: Path, make_workspace: MakeWorkspace
) -> None:
    with pytest.raises(UsageError, match=r"sees flow, and teacher\.preprocess\.modality"):
        FrozenTeacher(make_workspace(own))


def test_evaluate__on_flow_needs_flow(own: Path, make_workspace: MakeWorkspace) -> None:
    workspace = make_workspace(own)
    with pytest.raises(UsageError, match=r"has no data\.flow"):
        evaluate_run(workspace, workspace.teacher_folder)


def test_settings__of_runs_on_colours_are_as_they_were_before_flow(
    own: Path, make_workspace: MakeWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that was finished before stays finished."""
    seen: list[str] = []
    module = sys.modules["featkd.experiment.classifier_run"]
    monkeypatch.setattr(module, "settings_digest", lambda fields: seen.append(str(fields)) or "")
    colours = make_workspace(own)
    teacher_run(colours).settings(colours)
    flow = on_flow(make_workspace, own)
    teacher_run(flow).settings(flow)
    assert "modality" not in seen[0]
    assert "flow" not in seen[0].replace(str(own), "")
    assert "'modality': 'flow'" in seen[1]
    assert "flow.method" in seen[1]


def test_train__needs_the_folder(tmp_path: Path, make_workspace: MakeWorkspace) -> None:
    with pytest.raises(FlowError, match="is not a folder"):
        train_teacher(on_flow(make_workspace, tmp_path))
