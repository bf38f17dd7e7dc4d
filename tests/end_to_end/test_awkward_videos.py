"""Real and broken files through manifest and extraction: each ends as its description says."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from featkd.cache import ZarrStore
from featkd.experiment import Workspace
from featkd.extract import ExtractSummary, extract
from featkd.manifest import BuildResult, build_from_folders, write_manifest
from featkd.models import ModelSpec, NetworkCard, PreprocessSpec, save_network
from featkd.recipes import load_recipe
from featkd.video import read_frames

NO_VIDEO = ("open fails", "no video stream")


@pytest.fixture(scope="module")
def built(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> BuildResult:
    root = tmp_path_factory.mktemp("videos")
    for folder in ("awkward", "known_label_clips"):
        (root / folder).symlink_to(shared_data / "videos" / folder)
    return build_from_folders(root, dataset="awkward")


@pytest.fixture(scope="module")
def extraction(
    built: BuildResult, tmp_path_factory: pytest.TempPathFactory
) -> tuple[ExtractSummary, Path]:
    """One view of every file through an untrained teacher."""
    work = tmp_path_factory.mktemp("work")
    manifest = built.with_rejected()
    write_manifest(manifest, work / "manifest.csv")
    recipe = load_recipe(
        "demo",
        [
            f"workdir={work}",
            f"data.manifest={work}/manifest.csv",
            f"data.root={manifest.root}",
            "views.train={num_frames: 16, num_views: 1}",
            "extract.part_rows=8",
        ],
    )
    card = NetworkCard(
        model=ModelSpec(width=0.0625),
        classes=manifest.header.classes,
        num_frames=16,
        preprocess=PreprocessSpec(size=32),
    )
    (work / "teacher").mkdir()
    torch.manual_seed(0)
    save_network(work / "teacher" / "model.safetensors", card.build(), card)
    return extract(Workspace(recipe)), work


def expected_of(shared_data: Path) -> dict[str, str]:
    table = pd.read_csv(shared_data / "videos" / "awkward" / "labels.csv")
    return dict(zip(table["file"], table["expected"], strict=True))


def test_manifest__has_every_readable_file_with_its_frames(
    built: BuildResult, shared_data: Path
) -> None:
    frames = dict(
        zip(
            built.manifest.table["path"].str.removeprefix("awkward/"),
            built.manifest.table["num_frames"],
            strict=True,
        )
    )
    rejected = {Path(item.path).name for item in built.rejected}
    checked = 0
    for name, expected in expected_of(shared_data).items():
        if Path(name).suffix in {".wav", ".mp3"}:
            assert name not in frames  # not called a video, so not taken for one
        elif any(words in expected for words in NO_VIDEO):
            assert name in rejected, name
        else:
            count = re.search(r"(\d+)(?: of \d+ declared)? frames", expected)
            if count is None:
                assert frames[name] > 0, name
            else:
                assert frames[name] == int(count[1]), name
                checked += 1
    assert checked >= 15


def test_extraction__runs_through_and_says_why_files_failed(
    built: BuildResult, extraction: tuple[ExtractSummary, Path], shared_data: Path
) -> None:
    summary, work = extraction
    broken = {name for name, words in expected_of(shared_data).items()
              if any(phrase in words for phrase in NO_VIDEO)
              and Path(name).suffix not in {".wav", ".mp3"}}  # fmt: skip
    failed = {Path(video_id).name: reason for video_id, reason in summary.failed_videos.items()}
    assert len(failed) == len(broken)
    for name in broken:
        reason = failed.get(name) or failed[Path(name).stem]
        assert name in reason
        assert len(reason) < 400
        assert "Traceback" not in reason
    with ZarrStore.open(work / "cache") as store:
        assert store.num_rows == len(built.manifest.table) + len(broken)
        readable = [row for row in range(store.num_rows) if row not in store.failures("teacher")]
        assert store.read_rows("logits", readable).isfinite().all()


def test_rotated_video__stands_upright(shared_data: Path, built: BuildResult) -> None:
    clips = {clip.path.name: clip for clip in built.manifest.clips("train")}
    plain, turned = clips["decord_video_0.mov"], clips["decord_video_90.mov"]
    assert (plain.width, plain.height) == (568, 320)
    assert (turned.width, turned.height) == (320, 568)
    assert read_frames(turned, [0]).shape == (1, 568, 320, 3)
    stored, upside_down = (
        read_frames(plain, [0])[0],
        read_frames(clips["decord_video_180.mov"], [0])[0],
    )
    difference = np.abs(stored.astype(int) - upside_down[::-1, ::-1].astype(int)).mean()
    assert difference < np.abs(stored.astype(int) - upside_down.astype(int)).mean()
    phone = clips["phone_portrait_1080x1920_vfr.mp4"]
    assert (phone.width, phone.height) == (1080, 1920)
