"""A cache of windows, opened for training: what it hands out, and what it refuses."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from featkd.cache import FolderStore
from featkd.cache.signal import SignalRequest
from featkd.detection.distillation import (
    DetectionGenerativeSpec,
    DetectionKDSpec,
    DetectionSimKDSpec,
)
from featkd.distillers import Requirements
from featkd.errors import CacheIncompleteError, FingerprintError, RequirementError
from featkd.experiment.detection.frozen_detector import FrozenDetector
from featkd.experiment.detection.frozen_modules import (
    DetectionModuleArguments,
    build_detection_modules,
    save_detection_modules,
)
from featkd.experiment.detection.opened_cache import OpenedDetectionCache
from featkd.experiment.detection.workspace import DetectionWorkspace
from featkd.extract import extract
from featkd.types import TapSpec
from featkd.video import render_clip

MakeWorkspace = Callable[..., DetectionWorkspace]

LAYERS = ("Mixed_4f", "Mixed_5c")
BOTH = DetectionKDSpec().requires | DetectionSimKDSpec().requires


@pytest.fixture
def work(tmp_path: Path, extracted_windows: Path) -> Path:
    """A copy of the extracted experiment, to be changed."""
    shutil.copytree(extracted_windows, tmp_path / "work")
    return tmp_path / "work"


def open_cache(
    workspace: DetectionWorkspace, store: FolderStore, needs: Requirements, **more: bool
) -> OpenedDetectionCache:
    return OpenedDetectionCache(workspace, store, FrozenDetector(workspace), needs, **more)


def test_signal__is_what_the_live_teacher_says(
    extracted_windows: Path, make_detection_workspace: MakeWorkspace
) -> None:
    workspace = make_detection_workspace(extracted_windows)
    windows, views = workspace.train_clips(), workspace.recipe.views.train
    teacher = FrozenDetector(workspace).with_taps([TapSpec(layer, "full") for layer in LAYERS])
    with FolderStore.open(extracted_windows / "cache") as store:
        opened = open_cache(workspace, store, BOTH)
        assert opened.samples == [0, 1, 2, 3, 4, 5]
        source = opened.signal()
        assert not source.needs_clips
        shown = [(5, 1), (0, 0), (3, 1)]
        rows = tuple(opened.row_of(*pair) for pair in shown)
        signal = source.signal(SignalRequest(rows=rows)).to(torch.device("cpu"))
        pixels = []
        for sample, view_index in shown:
            view = views.draw(seed=0, clip=windows[sample], view_index=view_index)
            rendered = render_clip(windows[sample], view, [32], workspace.frame_reader("rgb"))
            opened.check_frames(sample, view_index, rendered.frames_crc32)
            pixels += rendered.pixels
    answers = teacher.answers(torch.stack(pixels))
    coarse, refined = signal.logits()
    assert torch.equal(coarse, answers["coarse_logits"])
    assert torch.equal(refined, answers["refined_logits"])
    assert set(signal.features) == set(LAYERS)
    for layer in LAYERS:
        assert torch.equal(signal.feature(layer), answers[f"features/{layer}.full"])
    assert coarse.shape == (3, 14, 3)
    assert not signal.attention
    assert not signal.cvaes


def test_signal__hands_out_no_more_than_is_needed(
    extracted_windows: Path, make_detection_workspace: MakeWorkspace
) -> None:
    workspace = make_detection_workspace(extracted_windows)
    with FolderStore.open(extracted_windows / "cache") as store:
        opened = open_cache(workspace, store, DetectionKDSpec().requires)
        signal = opened.signal().signal(SignalRequest(rows=(0,)))
        assert not signal.features
        assert set(opened.fingerprint) == {
            *FrozenDetector(workspace).fingerprint, "codec.coarse_logits", "codec.refined_logits",
        }  # fmt: skip


def test_signal__with_cvaes(work: Path, make_detection_workspace: MakeWorkspace) -> None:
    workspace = make_detection_workspace(work)
    needs = Requirements(modules=("cvaes",))
    with FolderStore.open_for_writing(work / "cache") as store:
        opened = open_cache(workspace, store, needs)
        with pytest.raises(
            RequirementError, match=r"lacks module attention_heads; run: .*represent"
        ):
            opened.signal()
        arrays = {array.name: array for array in store.layers()["teacher"].arrays}
        arguments = DetectionModuleArguments(
            card=FrozenDetector(workspace).card,
            attention_head="paper",
            shapes={layer: arrays[f"features/{layer}.full"].shape for layer in LAYERS},
            cvae_hidden=8,
        )
        save_detection_modules(store, build_detection_modules(arguments), arguments)
        signal = opened.signal().signal(SignalRequest(rows=(0,)))
    assert (signal.coarse_logits, signal.features) == (None, {})
    for layer in LAYERS:
        channels, _, height, width = arguments.shapes[layer]
        cvae = signal.cvae(layer)
        assert (cvae.channels, *cvae.spatial_size) == (channels, height, width)


def test_signal__without_attention_names_the_command(
    extracted_windows: Path, make_detection_workspace: MakeWorkspace
) -> None:
    workspace = make_detection_workspace(extracted_windows)
    with FolderStore.open(extracted_windows / "cache") as store:
        opened = open_cache(workspace, store, DetectionGenerativeSpec(kd_gen_weight=0).requires)
        with pytest.raises(RequirementError, match=r"lacks attention/Mixed_4f.*featkd represent"):
            opened.signal()


def test_opened_cache__names_taps_and_formats_that_differ(
    extracted_windows: Path, make_detection_workspace: MakeWorkspace
) -> None:
    workspace = make_detection_workspace(extracted_windows, "extract.dtype=float16")
    needs = BOTH | Requirements(taps=(TapSpec("Mixed_3c", "pooled"),))
    with (
        FolderStore.open(extracted_windows / "cache") as store,
        pytest.raises(FingerprintError) as refused,
    ):
        open_cache(workspace, store, needs)
    assert "teacher.taps" in str(refused.value)
    assert "features/Mixed_3c.pooled" in str(refused.value)
    assert "codec.features/Mixed_4f.full is 'float32' in the cache" in str(refused.value)
    assert "codec.coarse_logits" not in str(refused.value)


def test_opened_cache__of_a_part_of_the_windows(
    work: Path, make_detection_workspace: MakeWorkspace
) -> None:
    workspace = make_detection_workspace(work)
    with FolderStore.open_for_writing(work / "cache") as store:
        store.retract_part("teacher", 1)  # rows 5 to 9
        with pytest.raises(CacheIncompleteError, match="lacks 1 of 3 parts"):
            open_cache(workspace, store, BOTH)
        assert open_cache(workspace, store, BOTH, committed_only=True).samples == [0, 1, 5]


def test_frames__are_the_windows_as_students_see_them(
    extracted_windows: Path, tmp_path: Path, make_detection_workspace: MakeWorkspace
) -> None:
    (tmp_path / "teacher").symlink_to(extracted_windows / "teacher")
    workspace = make_detection_workspace(
        tmp_path, "extract.frames={size: 24}", "student.preprocess.size=24"
    )
    extract(workspace)
    window = workspace.train_clips()[5]
    view = workspace.recipe.views.train.draw(seed=0, clip=window, view_index=1)
    rendered = render_clip(window, view, [24], workspace.frame_reader("rgb"))
    with FolderStore.open(tmp_path / "cache") as store:
        read = open_cache(workspace, store, BOTH).frames(24)
        assert read is not None
        assert torch.equal(read(5, 1), rendered.pixels[0])
