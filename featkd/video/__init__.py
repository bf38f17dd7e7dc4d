"""Video files in, rendered views out: probing, exact decoding, view geometry."""

from featkd.video.container import decoder_version
from featkd.video.decode import read_frames
from featkd.video.probe import VideoInfo, probe
from featkd.video.render import crc32_of, render, render_clip
from featkd.video.view import EvaluationViews, TrainingViews

__all__ = [
    "EvaluationViews",
    "TrainingViews",
    "VideoInfo",
    "crc32_of",
    "decoder_version",
    "probe",
    "read_frames",
    "render",
    "render_clip",
]
