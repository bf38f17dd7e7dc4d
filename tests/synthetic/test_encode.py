from concurrent.futures import ThreadPoolExecutor

import av
import numpy as np
import pytest

from featkd.errors import VideoError
from featkd.synthetic.encode import GOP_FRAMES, encode_h264
from featkd.synthetic.motions import sample_trajectory
from featkd.synthetic.scene import draw_video, sample_setting
from featkd.synthetic.seeding import named_generator


def decode(path):
    with av.open(str(path)) as file:
        return list(file.decode(video=0))


def smooth_frames(num_frames=30, height=48, width=64):
    time, row, column = np.ogrid[:num_frames, :height, :width]
    ramps = (4 * column + time, 5 * row + 0 * time, 3 * (row + column) + 2 * time)
    return np.stack(np.broadcast_arrays(*ramps), axis=-1).clip(0, 255).astype(np.uint8)


def test_encode_h264__decodes_to_nearly_the_same(tmp_path):
    frames = smooth_frames()
    encode_h264(frames, tmp_path / "ramp.mp4", fps=25)
    decoded = np.stack(
        [frame.to_ndarray(format="rgb24") for frame in decode(tmp_path / "ramp.mp4")]
    )
    assert decoded.shape == frames.shape
    assert np.abs(decoded.astype(int) - frames).mean() < 4


def test_encode_h264__keyframes_and_timestamps(tmp_path):
    encode_h264(smooth_frames(), tmp_path / "ramp.mp4", fps=25)
    decoded = decode(tmp_path / "ramp.mp4")
    assert [round(frame.time * 25) for frame in decoded] == list(range(30))
    keyframes = [index for index, frame in enumerate(decoded) if frame.key_frame]
    assert max(np.diff([*keyframes, 30])) <= GOP_FRAMES


def test_encode_h264__equal_frames_give_equal_bytes(tmp_path):
    setting = sample_setting(named_generator("setting"))

    def encode(index: int) -> bytes:
        path = tmp_path / f"{index}.mp4"
        trajectory = sample_trajectory("orbit", 16, named_generator("path"))
        encode_h264(draw_video(trajectory, setting, 80, named_generator("scene")), path, fps=25)
        return path.read_bytes()

    # Many at once: where x264's routines would differ from run to run.
    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(encode, range(80)))) == 1


@pytest.mark.parametrize("shape", [(0, 16, 16, 3), (4, 15, 16, 3), (4, 16, 15, 3)])
def test_encode_h264__rejects_frames_it_cannot_store(tmp_path, shape):
    with pytest.raises(VideoError, match=r"bad\.mp4"):
        encode_h264(np.zeros(shape, np.uint8), tmp_path / "bad.mp4", fps=25)


def test_encode_h264__failure_names_the_file_and_leaves_nothing(tmp_path):
    with pytest.raises(VideoError, match=r"here/x\.mp4"):
        encode_h264(smooth_frames(2), tmp_path / "not" / "here" / "x.mp4", fps=25)
    with pytest.raises(VideoError, match=r"x\.mp4"):
        encode_h264(smooth_frames(2), tmp_path / "x.mp4", fps=25, crf=-7)
    assert not list(tmp_path.iterdir())
