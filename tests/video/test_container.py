"""Opening files."""

import re

import pytest

from featkd.errors import VideoOpenError
from featkd.video import decoder_version
from featkd.video.container import open_video


def test_decoder_version__names_all_that_decides_pixels():
    pattern = r"PyAV \d+\.\d+\.\d+, libavcodec \d+\.\d+\.\d+, libswscale \d+\.\d+\.\d+"
    assert re.fullmatch(pattern, decoder_version())


def test_open_video__takes_no_path_for_a_protocol(tmp_path, monkeypatch, write_video):
    monkeypatch.chdir(tmp_path)
    video = write_video("subfile:x.mp4", num_frames=2)
    with open_video(video.relative_to(tmp_path)) as (_, stream):
        assert stream.frames == 2


def test_open_video__refuses_text(tmp_path):
    path = tmp_path / "page.mp4"
    path.write_text("<html>404</html>")
    with (
        pytest.raises(VideoOpenError, match=r"page\.mp4 cannot be opened as a video: Invalid data"),
        open_video(path),
    ):
        pass
