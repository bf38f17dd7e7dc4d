"""Video files in, rendered views out: probing, exact decoding, view geometry."""

from featkd.video.container import decoder_version
from featkd.video.decode import read_frames
from featkd.video.frame_blob import decode_frames, encode_frames, frame_blob_capacity_bytes
from featkd.video.probe import VideoInfo, probe
from featkd.video.render import Rendered, crc32_of, render, render_clip
from featkd.video.view import EvaluationViews, TrainingViews

__all__ = [
    "EvaluationViews",
    "Rendered",
    "TrainingViews",
    "VideoInfo",
    "crc32_of",
    "decode_frames",
    "decoder_version",
    "encode_frames",
    "frame_blob_capacity_bytes",
    "probe",
    "read_frames",
    "render",
    "render_clip",
]
