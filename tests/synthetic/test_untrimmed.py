import hashlib
from collections import Counter

import av
import numpy as np
import pytest
from pydantic import ValidationError

from featkd.errors import UsageError
from featkd.synthetic import UntrimmedSpec, synthesize, synthesize_untrimmed
from featkd.synthetic.dataset import SyntheticSpec
from featkd.synthetic.motions import compose_trajectory

TINY = UntrimmedSpec(
    num_videos={"train": 4, "test": 2},
    classes=("orbit", "zoom_in"),
    video_sec=(6.0, 8.0),
    action_sec=(1.5, 2.0),
    gap_sec=(0.5, 1.0),
    overlap_share=0.5,
    size=32,
)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return synthesize_untrimmed(TINY, tmp_path_factory.mktemp("untrimmed"))


def decode(path):
    with av.open(str(path)) as file:
        return [frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)]


def segments_of(dataset, video):
    return [segment for segment in dataset.segments if segment.video_id == video.video_id]


def acting_frames(dataset, video):
    """Whether any action happens, frame by frame."""
    acting = np.zeros(video.num_frames, dtype=bool)
    for segment in segments_of(dataset, video):
        acting[round(segment.start_sec * video.fps) : round(segment.end_sec * video.fps)] = True
    return acting


def test_synthesize_untrimmed__records_are_true_of_the_files(dataset):
    assert [video.video_id for video in dataset.videos] == [
        *(f"train_{index:04d}" for index in range(4)),
        *(f"test_{index:04d}" for index in range(2)),
    ]
    for video in dataset.videos:
        path = dataset.folder / video.path
        assert hashlib.sha256(path.read_bytes()).hexdigest() == video.sha256
        with av.open(str(path)) as file:
            stream = file.streams.video[0]
            assert (stream.width, stream.height) == (video.width, video.height) == (32, 32)
            assert stream.average_rate == video.fps == 10
        assert len(decode(path)) == video.num_frames
        assert (video.start_sec, video.end_sec) == (0, video.num_frames / 10)
        assert video.group == video.video_id


def test_synthesize_untrimmed__class_of_a_video_is_its_commonest_and_takes_turns(dataset):
    for video in dataset.videos:
        labels = Counter(segment.label for segment in segments_of(dataset, video))
        assert labels.most_common(1)[0][0] == video.label
        assert TINY.classes[video.label] == video.class_name
    assert [video.label for video in dataset.videos] == [0, 1, 0, 1, 0, 1]


def test_synthesize_untrimmed__segments_lie_in_their_videos(dataset):
    end_of = {video.video_id: video.end_sec for video in dataset.videos}
    assert {segment.video_id for segment in dataset.segments} == end_of.keys()
    for segment in dataset.segments:
        assert 0.5 <= segment.start_sec < segment.end_sec <= end_of[segment.video_id] - 0.5
        assert 1.5 - 1e-9 <= segment.end_sec - segment.start_sec <= 2.0 + 1e-9
    overlapping = [
        (one, other)
        for one in dataset.segments
        for other in dataset.segments
        if one.video_id == other.video_id and one.start_sec < other.start_sec < one.end_sec
    ]
    assert overlapping
    assert all(one.label != other.label for one, other in overlapping)


@pytest.mark.parametrize("fps", [10, 25])
def test_synthesize_untrimmed__segments_are_exact_in_what_is_drawn(fps, tmp_path, monkeypatch):
    drawn = {}

    def remember(actions, num_frames, rng, *, speed):
        trajectory = compose_trajectory(actions, num_frames, rng, speed=speed)
        drawn[num_frames] = trajectory
        return trajectory

    monkeypatch.setattr("featkd.synthetic.untrimmed.compose_trajectory", remember)
    spec = TINY.model_copy(
        update={"fps": fps, "num_videos": {"train": 1}, "video_sec": (20.0, 20.0)}
    )
    dataset = synthesize_untrimmed(spec, tmp_path)
    (video,) = dataset.videos
    trajectory = drawn[20 * fps]
    moves = {name: np.diff(getattr(trajectory, name)) != 0 for name in ("x", "diameter", "angle")}
    for label, quantity in enumerate(("x", "diameter")):
        acting = np.zeros(video.num_frames, dtype=bool)
        for segment in dataset.segments:
            if segment.label == label:
                start, end = segment.start_sec * fps, segment.end_sec * fps
                assert (start, end) == pytest.approx((round(start), round(end)), abs=1e-9)
                acting[round(start) : round(end)] = True
        assert acting.any()
        np.testing.assert_array_equal(moves[quantity], acting[1:])
    assert not moves["angle"].any()


def test_synthesize_untrimmed__segments_show_in_the_pixels(tmp_path):
    spec = TINY.model_copy(update={"crf": 0, "size": 64, "num_videos": {"train": 2}})
    dataset = synthesize_untrimmed(spec, tmp_path)
    for video in dataset.videos:
        frames = np.stack(decode(tmp_path / video.path)).astype(float).mean(axis=-1)
        # The strongest changes of a frame: the object moves, the rest drifts slowly.
        change = np.sort(np.abs(np.diff(frames, axis=0)).reshape(len(frames) - 1, -1))[:, -40:]
        acting = acting_frames(dataset, video)[1:]
        assert change.mean(axis=1)[acting].min() > 1.5 * change.mean(axis=1)[~acting].max()


def test_synthesize_untrimmed__motions_take_as_long_at_any_rate(tmp_path):
    spec = TINY.model_copy(update={"num_videos": {"train": 1}, "fps": 30})
    video, *_ = synthesize_untrimmed(spec, tmp_path).videos
    assert video.num_frames == pytest.approx(30 * video.end_sec)
    assert 6 <= video.end_sec <= 8


def test_synthesize_untrimmed__a_video_depends_on_neither_workers_nor_others(dataset, tmp_path):
    fewer = TINY.model_copy(update={"num_videos": {"train": 3}})
    videos = synthesize_untrimmed(fewer, tmp_path, num_workers=1).videos
    assert videos == dataset.videos[:3]


def test_synthesize_untrimmed__another_seed_gives_others(dataset, tmp_path):
    reseeded = synthesize_untrimmed(TINY.model_copy(update={"seed": 1}), tmp_path)
    assert not {v.sha256 for v in reseeded.videos} & {v.sha256 for v in dataset.videos}
    assert reseeded.segments != dataset.segments


class InterruptionError(Exception):
    pass


class Recorder:
    """A progress that remembers how much was left to do, and may be interrupted."""

    def __init__(self, stop_after=None):
        self._stop_after = stop_after

    def track(self, items, *, description, total, unit, done=0):
        self.total, self.done = total, done
        for index, item in enumerate(items):
            if index == self._stop_after:
                raise InterruptionError
            yield item

    def note(self, message):
        raise AssertionError(message)


def test_synthesize_untrimmed__goes_on_where_it_was_interrupted(dataset, tmp_path):
    with pytest.raises(InterruptionError):
        synthesize_untrimmed(TINY, tmp_path, progress=Recorder(stop_after=1), num_workers=1)
    times = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.mp4")}
    assert 2 <= len(times) < 6
    progress = Recorder()
    again = synthesize_untrimmed(TINY, tmp_path, progress=progress)
    assert (progress.total, progress.done) == (6, len(times))
    assert (again.videos, again.segments) == (dataset.videos, dataset.segments)
    assert {path: path.stat().st_mtime_ns for path in times} == times


def test_synthesize_untrimmed__refuses_a_folder_of_others(dataset, tmp_path):
    with pytest.raises(UsageError, match=r"spec\.json: gap_sec .* but \(0\.5, 2\.0\) was"):
        synthesize_untrimmed(TINY.model_copy(update={"gap_sec": (0.5, 2.0)}), dataset.folder)
    trimmed = SyntheticSpec(
        videos_per_class={"train": 1}, classes=("orbit",), num_frames=16, size=16
    )
    synthesize(trimmed, tmp_path)
    with pytest.raises(UsageError, match=r"spec\.json: not the settings"):
        synthesize_untrimmed(TINY, tmp_path)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"classes": ["orbit", "fly"]}, "different names"),
        ({"classes": ["orbit", "blink"]}, "blink"),
        ({"classes": ["orbit"]}, "only class"),
        ({"classes": ["zoom_in", "orbit", "zoom_out"]}, "zoom_in and zoom_out"),
        ({"overlap_share": 1.1}, "less than or equal to 1"),
        ({"action_sec": [1.4, 4]}, "at least 1.5 s"),
        ({"action_sec": [4, 2]}, "shorter first"),
        ({"gap_sec": [0, 1]}, "greater than 0"),
        ({"gap_sec": [0.81, 0.88]}, "no whole number of frames"),
        ({"gap_sec": [0.01, 0.02]}, "no whole number of frames"),
        ({"video_sec": [3, 20]}, "at least 3.1"),
        ({"video_sec": [3, float("inf")]}, "finite"),
        ({"num_videos": {"../train": 1}}, "names a folder"),
        ({"num_videos": {}}, "at least 1 item"),
        ({"size": 33}, "multiple of 2"),
        ({"fps": 9}, "greater than or equal to 10"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_untrimmed_spec__rejects(settings, message):
    with pytest.raises(ValidationError, match=message):
        UntrimmedSpec.model_validate(settings)


@pytest.mark.parametrize(
    "settings",
    [
        {"classes": ["zoom_in", "zoom_out"], "overlap_share": 0},
        {"classes": ["orbit"], "overlap_share": 0},
        {"video_sec": [3.1, 3.1]},
    ],
)
def test_untrimmed_spec__accepts(settings):
    spec = UntrimmedSpec.model_validate(settings)
    assert UntrimmedSpec.model_validate_json(spec.model_dump_json()) == spec


def test_untrimmed_spec__ranges_include_their_ends_in_frames():
    limits = UntrimmedSpec(gap_sec=(1.1, 2.3), video_sec=(12.3, 24.7)).timeline_range
    assert limits.gap_frames == (11, 23)
    assert limits.video_frames == (123, 247)
    assert limits.action_frames == (15, 40)
