import importlib.util
from pathlib import Path

import av
import numpy as np
import pytest

from featkd.errors import UsageError

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "pose_video.py"
NUM_SEQUENCES = 40


@pytest.fixture(scope="module")
def pose_video():
    spec = importlib.util.spec_from_file_location("pose_video", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def poses_file(tmp_path_factory):
    """Poses with the head (joint 2) far above and the ankles far below the rest."""
    rng = np.random.default_rng(0)
    lengths = rng.integers(15, 20, NUM_SEQUENCES)
    pose = rng.normal(0, 0.1, (lengths.sum(), 15, 2)).astype(np.float32)
    pose[:, 2, 1] -= 1.0
    pose[:, 13:, 1] += 1.0
    path = tmp_path_factory.mktemp("poses") / "poses.npz"
    np.savez(
        path,
        pose=pose,
        offsets=np.concatenate([[0], lengths.cumsum()]),
        label=np.arange(NUM_SEQUENCES) % 2,
        label_names=np.array(["jump", "wave"]),
        split=np.tile(np.where(np.arange(NUM_SEQUENCES) % 4 == 0, 2, 1)[:, None], 3).astype("u1"),
    )
    return path


@pytest.fixture(scope="module")
def videos(pose_video, poses_file, tmp_path_factory):
    folder = tmp_path_factory.mktemp("videos")
    return folder, pose_video.render_poses(poses_file, folder, size=48)


def test_render_poses__keeps_length_and_official_test_split(pose_video, poses_file, videos):
    folder, records = videos
    poses = pose_video.load_poses(poses_file)
    assert len(records) == NUM_SEQUENCES
    for index, record in enumerate(records):
        assert record.group == str(index)
        assert (record.split == "test") == (poses.splits[index, 0] == 2)
        assert poses.class_names[poses.labels[index]] == record.class_name
        with av.open(str(folder / record.path)) as file:
            assert sum(1 for _ in file.decode(video=0)) == record.num_frames
        assert record.num_frames == len(poses.joints[index])
    assert {record.split for record in records} == {"train", "val", "test"}


def test_render_poses__keeps_what_is_finished(pose_video, poses_file, videos):
    folder, records = videos
    times = [(folder / record.path).stat().st_mtime_ns for record in records]
    assert pose_video.render_poses(poses_file, folder, size=48) == records
    assert [(folder / record.path).stat().st_mtime_ns for record in records] == times
    with pytest.raises(UsageError, match="size"):
        pose_video.render_poses(poses_file, folder, size=64)


def test_draw_poses__head_is_up(pose_video, poses_file):
    joints = pose_video.load_poses(poses_file).joints[0]
    frame = pose_video.draw_poses(joints, 96, 0, 0)[0].astype(int)
    yellow = (frame[..., 0] > 200) & (frame[..., 1] > 180) & (frame[..., 2] < 160)
    assert yellow.any()
    assert np.nonzero(yellow)[0].max() < 48


def test_draw_poses__one_scale_for_the_whole_sequence(pose_video):
    small = np.random.default_rng(0).uniform(-0.5, 0.5, (1, 15, 2)).astype(np.float32)
    joints = np.concatenate([small, 2 * small])
    drawn = pose_video.draw_poses(joints, 96, 0, 0).max(axis=-1) > 150
    heights = [np.ptp(np.nonzero(mask)[0]) for mask in drawn]
    assert heights[1] > 1.5 * heights[0]
