"""The I3D family, taps, the frozen teacher, checkpoints."""

from featkd.models.checkpoint import NetworkCard, load_network, read_weights, save_network
from featkd.models.classifier import ModelSpec, VideoClassifier
from featkd.models.i3d import I3D, LAST_LAYER, TEMPORAL_BLOCKS, I3DTrunk
from featkd.models.inherit import inherit_weights
from featkd.models.layer_shapes import layer_shapes
from featkd.models.live_signal import LiveSignal
from featkd.models.placement import place
from featkd.models.preprocess import PreprocessSpec, preprocess
from featkd.models.projector import Projector, ProjectorSpec, ReusedClassifierSpec
from featkd.models.taps import record_layers, reduce_map
from featkd.models.teacher import Teacher

__all__ = [
    "I3D",
    "LAST_LAYER",
    "TEMPORAL_BLOCKS",
    "I3DTrunk",
    "LiveSignal",
    "ModelSpec",
    "NetworkCard",
    "PreprocessSpec",
    "Projector",
    "ProjectorSpec",
    "ReusedClassifierSpec",
    "Teacher",
    "VideoClassifier",
    "inherit_weights",
    "layer_shapes",
    "load_network",
    "place",
    "preprocess",
    "read_weights",
    "record_layers",
    "reduce_map",
    "save_network",
]
