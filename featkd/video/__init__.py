"""Video files in, rendered views out: probing, exact decoding, view geometry."""

from featkd.video.container import decoder_version
from featkd.video.decode import read_frames, stream_frames
from featkd.video.frame_blob import decode_frames, encode_frames, frame_blob_capacity_bytes
from featkd.video.modality import (
    FLOW_BOUND_PIXELS,
    NUM_CHANNELS,
    Modality,
    mirrored,
    quantise_flow,
)
from featkd.video.probe import VideoInfo, probe
from featkd.video.render import FrameReader, Rendered, crc32_of, render, render_clip
from featkd.video.view import EvaluationViews, TrainingViews, Views, uniform_draws

__all__ = [
    "FLOW_BOUND_PIXELS",
    "NUM_CHANNELS",
    "EvaluationViews",
    "FrameReader",
    "Modality",
    "Rendered",
    "TrainingViews",
    "VideoInfo",
    "Views",
    "crc32_of",
    "decode_frames",
    "decoder_version",
    "encode_frames",
    "frame_blob_capacity_bytes",
    "mirrored",
    "probe",
    "quantise_flow",
    "read_frames",
    "render",
    "render_clip",
    "stream_frames",
    "uniform_draws",
]
