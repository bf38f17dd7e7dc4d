"""Flow of many clips: computed once, whatever happens in between."""

from dataclasses import replace

import numpy as np
import pytest

from featkd.errors import FlowError, UsageError
from featkd.flow import FlowSpec, FlowStore, compute_flow, estimate_flow
from featkd.video import quantise_flow, read_frames

pytestmark = pytest.mark.usefixtures("needs_opencv")

DIS = FlowSpec(method="dis")


def test_compute_flow__keeps_the_flow_of_decoded_frames(tmp_path, moving_clip):
    clip = moving_clip()
    summary = compute_flow([clip], tmp_path / "flow", DIS)
    assert (summary.num_computed, summary.num_frames, summary.failures) == (1, 4, {})
    fields = estimate_flow(iter(read_frames(clip, range(5))), DIS)
    kept = FlowStore(tmp_path / "flow").read(clip, range(4))
    np.testing.assert_array_equal(kept, quantise_flow(np.stack(list(fields))))
    assert np.abs(np.median(kept[:, 16:-16, 16:-16], axis=(0, 1, 2)) - (147, 115)).max() <= 2


def test_compute_flow__computes_what_is_missing(tmp_path, moving_clip):
    clips = [moving_clip(name) for name in "abc"]
    first = compute_flow(clips[:2], tmp_path / "flow", DIS)
    paths = [FlowStore(tmp_path / "flow").path_of(clip) for clip in clips]
    before = [path.stat().st_mtime_ns for path in paths[:2]]
    second = compute_flow(clips, tmp_path / "flow", DIS)
    assert (first.num_computed, second.num_computed, second.num_videos) == (2, 1, 3)
    assert [path.stat().st_mtime_ns for path in paths[:2]] == before
    assert second.num_bytes == sum(path.stat().st_size for path in paths)
    assert compute_flow(clips, tmp_path / "flow", DIS).num_frames == 0


def test_compute_flow__does_not_depend_on_workers(tmp_path, moving_clip):
    clips = [moving_clip(name, shift=(step, 1)) for step, name in enumerate("abcd")]
    for num_workers in (1, 3):
        compute_flow(clips, tmp_path / f"flow{num_workers}", DIS, num_workers=num_workers)
    for clip in clips:
        one, three = (FlowStore(tmp_path / f"flow{n}").path_of(clip) for n in (1, 3))
        assert one.read_bytes() == three.read_bytes()


def test_compute_flow__keeps_what_was_finished_when_stopped(
    tmp_path, moving_clip, interrupted_after
):
    clips = [moving_clip(name, num_frames=12) for name in "abcdef"]
    with interrupted_after(2) as progress:
        compute_flow(clips, tmp_path / "flow", DIS, num_workers=1, progress=progress)
    store = FlowStore(tmp_path / "flow")
    held = [clip for clip in clips if store.holds(clip)]
    assert 2 <= len(held) < 6
    assert not list(tmp_path.rglob("*.tmp"))
    assert compute_flow(clips, tmp_path / "flow", DIS).num_computed == 6 - len(held)
    assert all(store.holds(clip) for clip in clips)


def test_compute_flow__records_why_a_video_failed_and_tries_again(tmp_path, moving_clip):
    good, bad = moving_clip("good"), moving_clip("bad")
    sound = bad.path.read_bytes()
    bad.path.write_bytes(sound[: len(sound) // 3])
    single = replace(moving_clip("single"), num_frames=1)
    summary = compute_flow([bad, good, single], tmp_path / "flow", DIS)
    assert set(summary.failures) == {"moves/bad", "moves/single"}
    assert "bad.mp4" in summary.failures["moves/bad"]
    assert "at least 2" in summary.failures["moves/single"]
    assert summary.num_computed == 1
    bad.path.write_bytes(sound)
    again = compute_flow([bad, good], tmp_path / "flow", DIS)
    assert (again.num_computed, again.failures) == (1, {})


def test_compute_flow__tells_why_the_manifest_has_no_frames(tmp_path, moving_clip):
    clip = replace(moving_clip(), num_frames=0)
    clip.path.write_bytes(b"")
    summary = compute_flow([clip], tmp_path / "flow", DIS)
    assert "is empty" in summary.failures["moves/clip"]


def test_compute_flow__refuses_to_mix(tmp_path, moving_clip):
    clip = moving_clip()
    compute_flow([clip], tmp_path / "flow", DIS)
    with pytest.raises(FlowError, match="method is 'dis' and would be 'tvl1'"):
        compute_flow([clip], tmp_path / "flow", FlowSpec(method="tvl1"))


def test_compute_flow__refuses_no_workers(tmp_path):
    with pytest.raises(UsageError, match="num_workers is 0"):
        compute_flow([], tmp_path / "flow", DIS, num_workers=0)
