"""Generated videos with the tables that describe them."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

from featkd.cli.main import main
from featkd.detection.ground_truth import read_ground_truth
from featkd.detection.sampling import sampled_frames
from featkd.errors import UsageError
from featkd.experiment import synthesize_untrimmed_dataset
from featkd.manifest import read_annotations, read_manifest
from featkd.synthetic import UntrimmedSpec

TINY = UntrimmedSpec(
    num_videos={"train": 4, "test": 2},
    classes=("orbit", "zoom_in"),
    video_sec=(6.0, 8.0),
    action_sec=(1.5, 2.0),
    gap_sec=(0.5, 1.0),
    size=32,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("untrimmed")
    synthesize_untrimmed_dataset(TINY, folder)
    return folder


def test_synthesize_untrimmed_dataset__validate_finds_nothing(folder):
    command = ["manifest", "validate", str(folder / "manifest.csv"), "--contents", "--json"]
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert (found["rows"], found["errors"], found["warnings"]) == (6, [], [])


def test_synthesize_untrimmed_dataset__its_tables_agree(folder):
    manifest = read_manifest(folder / "manifest.csv")
    annotations = read_annotations(folder / "manifest.annotations.csv")
    assert manifest.header.classes == annotations.header.classes == TINY.classes
    rows = manifest.table
    num_segments = 0
    for split in TINY.num_videos:
        truth = read_ground_truth(folder / "ground_truth.json", split)
        videos = rows[rows["split"] == split]
        assert truth.videos == tuple(videos["video_id"])
        assert dict(truth.duration_sec) == dict(
            zip(videos["video_id"], videos["end_sec"], strict=True)
        )
        listed = annotations.of_videos(truth.videos).table
        assert truth.segments["label"].tolist() == [TINY.classes[n] for n in listed["label"]]
        times = ["video_id", "start_sec", "end_sec"]
        assert truth.segments[times].to_numpy().tolist() == listed[times].to_numpy().tolist()
        num_segments += len(listed)
    assert num_segments == len(annotations.table) > len(rows)


def test_synthesize_untrimmed_dataset__sampling_keeps_every_frame(folder):
    rows = read_manifest(folder / "manifest.csv").table
    for num_frames, fps in zip(rows["num_frames"], rows["fps"], strict=True):
        np.testing.assert_array_equal(sampled_frames(num_frames, fps), np.arange(num_frames))


def test_synthesize_untrimmed_dataset__goes_on_where_it_was_killed(folder, tmp_path):
    synthesize_untrimmed_dataset(TINY, tmp_path)
    # Killed while it encoded: some videos, a part of one, and no table.
    for name in ("manifest.csv", "manifest.annotations.csv", "ground_truth.json"):
        (tmp_path / name).unlink()
    lost = tmp_path / "videos" / "train" / "train_0003.mp4"
    lost.rename(lost.with_name(f".{lost.name}.1.part"))
    synthesize_untrimmed_dataset(TINY, tmp_path)
    for path in (*folder.glob("*.csv"), *folder.glob("*.json"), *folder.rglob("*.mp4")):
        assert (tmp_path / path.relative_to(folder)).read_bytes() == path.read_bytes()


def test_synthesize_untrimmed_dataset__refuses_a_folder_of_other_settings(folder):
    with pytest.raises(UsageError, match=r"spec\.json: seed .* is 0, but 1 was"):
        synthesize_untrimmed_dataset(TINY.model_copy(update={"seed": 1}), folder)
