import hashlib
import os
import subprocess
import sys
from collections import Counter

import av
import pytest
from pydantic import ValidationError

from featkd.errors import UsageError
from featkd.synthetic import MOTIONS, SyntheticSpec, synthesize

SMALL = SyntheticSpec(
    videos_per_class={"train": 2, "test": 1},
    classes=("orbit", "blink", "zoom_in"),
    num_frames=16,
    size=32,
)


def digests(dataset):
    return {video.video_id: video.sha256 for video in dataset.videos}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return synthesize(SMALL, tmp_path_factory.mktemp("synthetic"))


def test_synthesize__records_are_true_of_the_files(dataset):
    assert len(dataset.videos) == 9
    assert len({video.video_id for video in dataset.videos}) == 9
    for video in dataset.videos:
        path = dataset.folder / video.path
        assert hashlib.sha256(path.read_bytes()).hexdigest() == video.sha256
        assert SMALL.classes[video.label] == video.class_name
        with av.open(str(path)) as file:
            stream = file.streams.video[0]
            assert (stream.width, stream.height) == (video.width, video.height) == (32, 32)
            assert stream.average_rate == video.fps == 24
            frames = list(file.decode(stream))
        assert len(frames) == video.num_frames == 16
        assert video.start_sec <= frames[0].time < frames[-1].time < video.end_sec


def test_synthesize__classes_are_balanced_and_groups_stay_in_one_split(dataset):
    counts = Counter((video.split, video.class_name) for video in dataset.videos)
    assert counts == {
        (split, name): count
        for split, count in SMALL.videos_per_class.items()
        for name in SMALL.classes
    }
    splits_of_group = {(video.group, video.split) for video in dataset.videos}
    assert len(splits_of_group) == len({group for group, _ in splits_of_group}) == 3


def test_synthesize__another_process_writes_the_same_bytes(dataset, tmp_path):
    script = (
        "import sys, pathlib; from featkd.synthetic import SyntheticSpec, synthesize\n"
        "spec = SyntheticSpec.model_validate_json(sys.argv[1])\n"
        "synthesize(spec, pathlib.Path(sys.argv[2]), num_workers=1)"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "7"}
    command = [sys.executable, "-c", script, SMALL.model_dump_json(), str(tmp_path)]
    subprocess.run(command, check=True, env=environment)
    for video in dataset.videos:
        assert (tmp_path / video.path).read_bytes() == (dataset.folder / video.path).read_bytes()


def test_synthesize__a_video_does_not_depend_on_the_others(dataset, tmp_path):
    fewer = SMALL.model_copy(update={"videos_per_class": {"test": 1}, "classes": ("zoom_in",)})
    (video,) = synthesize(fewer, tmp_path).videos
    assert video.sha256 == digests(dataset)[video.video_id]


def test_synthesize__another_seed_gives_other_videos(dataset, tmp_path):
    reseeded = synthesize(SMALL.model_copy(update={"seed": 1}), tmp_path)
    assert digests(reseeded).keys() == digests(dataset).keys()
    assert not set(digests(reseeded).values()) & set(digests(dataset).values())


class Recorder:
    """A progress that remembers how much was left to do."""

    def track(self, items, *, description, total, unit, done=0):
        self.total, self.done = total, done
        return items

    def note(self, message):
        raise AssertionError(message)


def test_synthesize__resumes(dataset, tmp_path):
    first = synthesize(SMALL, tmp_path)
    lost, *kept = [tmp_path / video.path for video in first.videos]
    lost.unlink()
    times = [path.stat().st_mtime_ns for path in kept]
    progress = Recorder()
    second = synthesize(SMALL, tmp_path, progress=progress)
    assert (progress.total, progress.done) == (9, 8)
    assert second.videos == first.videos == dataset.videos
    assert [path.stat().st_mtime_ns for path in kept] == times


def test_synthesize__refuses_a_folder_of_other_settings(dataset):
    with pytest.raises(UsageError, match=r"spec\.json: size .* is 32, but 48 was"):
        synthesize(SMALL.model_copy(update={"size": 48}), dataset.folder)


def test_synthesize__refuses_damaged_settings(tmp_path):
    (tmp_path / "spec.json").write_text('{"size": 32')
    with pytest.raises(UsageError, match=r"spec\.json"):
        synthesize(SMALL, tmp_path)


@pytest.mark.parametrize(
    "settings",
    [
        {"classes": ["orbit", "fly"]},
        {"classes": ["orbit", "orbit"]},
        {"classes": []},
        {"num_frames": 15},
        {"size": 33},
        {"videos_per_class": {"../train": 1}},
        {"videos_per_class": {"train": 0}},
        {"colour": "red"},
    ],
)
def test_synthetic_spec__rejects(settings):
    with pytest.raises(ValidationError):
        SyntheticSpec.model_validate(settings)


def test_synthetic_spec__holds_all_motions_by_default():
    assert SyntheticSpec().classes == MOTIONS
    assert len(MOTIONS) >= 12
