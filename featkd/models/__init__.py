"""The I3D family, taps, the frozen teacher, checkpoints."""

from featkd.models.checkpoint import NetworkCard, load_network, read_weights, save_network
from featkd.models.classifier import ModelSpec, VideoClassifier
from featkd.models.i3d import I3D, LAST_LAYER, TEMPORAL_BLOCKS
from featkd.models.i3d_layouts import I3DDescription, I3DWeights, translate_i3d
from featkd.models.live_signal import LiveSignal
from featkd.models.match import MatchReport, ShapeMismatch, load_weights, match_weights
from featkd.models.placement import place
from featkd.models.preprocess import PreprocessSpec, preprocess
from featkd.models.projector import Projector, ProjectorSpec, ReusedClassifierSpec
from featkd.models.state_file import StateFile, read_state_file
from featkd.models.taps import record_layers, reduce_map
from featkd.models.teacher import Teacher

__all__ = [
    "I3D",
    "LAST_LAYER",
    "TEMPORAL_BLOCKS",
    "I3DDescription",
    "I3DWeights",
    "LiveSignal",
    "MatchReport",
    "ModelSpec",
    "NetworkCard",
    "PreprocessSpec",
    "Projector",
    "ProjectorSpec",
    "ReusedClassifierSpec",
    "ShapeMismatch",
    "StateFile",
    "Teacher",
    "VideoClassifier",
    "load_network",
    "load_weights",
    "match_weights",
    "place",
    "preprocess",
    "read_state_file",
    "read_weights",
    "record_layers",
    "reduce_map",
    "save_network",
    "translate_i3d",
]
