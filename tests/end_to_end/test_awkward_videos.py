"""Real and broken files through manifest and extraction: each ends as its description says."""

import re
from pathlib import Path

import av
import numpy as np
import pandas as pd
import pytest
import torch

from featkd.cache import FolderStore
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
    with FolderStore.open(work / "cache") as store:
        assert store.num_rows == len(built.manifest.table) + len(broken)
        readable = [row for row in range(store.num_rows) if row not in store.failures("teacher")]
        assert store.read_rows("logits", readable).isfinite().all()


@pytest.mark.parametrize(
    ("name", "quarter_turns", "size"),
    [
        pytest.param("decord_video_0.mov", 0, (568, 320), id="0"),
        pytest.param("decord_video_90.mov", -1, (320, 568), id="90"),
        pytest.param("decord_video_180.mov", 2, (568, 320), id="180"),
        pytest.param("decord_video_270.mov", 1, (320, 568), id="270"),
        pytest.param("phone_portrait_1080x1920_vfr.mp4", 0, (1080, 1920), id="phone"),
    ],
)
def test_rotated_video__stands_upright(
    shared_data: Path, built: BuildResult, name: str, quarter_turns: int, size: tuple[int, int]
) -> None:
    clip = next(clip for clip in built.manifest.clips("train") if clip.path.name == name)
    assert (clip.width, clip.height) == size
    with av.open(str(shared_data / "videos" / "awkward" / name)) as container:
        stored = next(container.decode(video=0)).to_ndarray(format="rgb24")
    upright = np.rot90(stored, quarter_turns).astype(int)
    shown = read_frames(clip, [0])[0].astype(int)
    assert shown.shape == upright.shape == (size[1], size[0], 3)
    assert np.abs(shown - upright).mean() < 3.0  # colours are rounded in another way
