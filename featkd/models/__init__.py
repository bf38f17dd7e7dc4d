"""The I3D family, taps, the frozen teacher, checkpoints."""

from featkd.models.base_teacher import BaseTeacher, Precision
from featkd.models.checkpoint import NetworkCard, Origin, load_network, read_weights, save_network
from featkd.models.classifier import ModelSpec, VideoClassifier
from featkd.models.foreign_weights import ForeignWeights, digest_of, read_foreign_weights
from featkd.models.hub import (
    FactorySpec,
    HubSpec,
    HuggingFaceSpec,
    TimmSpec,
    TorchvisionSpec,
    preprocess_problem,
)
from featkd.models.hub_classifier import HubClassifier
from featkd.models.i3d import I3D, LAST_LAYER, TEMPORAL_BLOCKS, I3DTrunk
from featkd.models.i3d_layouts import I3DDescription, I3DWeights, translate_i3d
from featkd.models.layer_shapes import layer_shapes
from featkd.models.live_signal import LiveSignal
from featkd.models.match import MatchReport, ShapeMismatch, load_weights, match_weights
from featkd.models.network_spec import FAMILY_TAG, Network, NetworkSpec, build_network, resolve_spec
from featkd.models.placement import place
from featkd.models.preprocess import PreprocessSpec, preprocess
from featkd.models.projector import Projector, ProjectorSpec, ReusedClassifierSpec
from featkd.models.state_file import StateFile, read_state_file
from featkd.models.taps import record_layers, reduce_map
from featkd.models.teacher import Teacher
from featkd.models.transfer import LayerTransfer, start_from

__all__ = [
    "FAMILY_TAG",
    "I3D",
    "LAST_LAYER",
    "TEMPORAL_BLOCKS",
    "BaseTeacher",
    "FactorySpec",
    "ForeignWeights",
    "HubClassifier",
    "HubSpec",
    "HuggingFaceSpec",
    "I3DDescription",
    "I3DTrunk",
    "I3DWeights",
    "LayerTransfer",
    "LiveSignal",
    "MatchReport",
    "ModelSpec",
    "Network",
    "NetworkCard",
    "NetworkSpec",
    "Origin",
    "Precision",
    "PreprocessSpec",
    "Projector",
    "ProjectorSpec",
    "ReusedClassifierSpec",
    "ShapeMismatch",
    "StateFile",
    "Teacher",
    "TimmSpec",
    "TorchvisionSpec",
    "VideoClassifier",
    "build_network",
    "digest_of",
    "layer_shapes",
    "load_network",
    "load_weights",
    "match_weights",
    "place",
    "preprocess",
    "preprocess_problem",
    "read_foreign_weights",
    "read_state_file",
    "read_weights",
    "record_layers",
    "reduce_map",
    "resolve_spec",
    "save_network",
    "start_from",
    "translate_i3d",
]
