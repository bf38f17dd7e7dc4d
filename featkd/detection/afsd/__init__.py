"""AFSD, an anchor-free detector of actions that refines segments at their boundaries."""

from featkd.detection.afsd.boundary_loss import BoundaryLosses, boundary_losses, consistency_loss
from featkd.detection.afsd.detector import DETECTOR_LAYERS, Detector
from featkd.detection.afsd.losses import (
    DetectionLossSpec,
    background_loss,
    detection_terms,
    focal_loss,
)
from featkd.detection.afsd.network import (
    AFSD,
    RELEASED_STUDENT,
    RELEASED_TEACHER,
    AFSDSpec,
    ReusedDetectorSpec,
    build_attention_heads,
    detector_channels,
)
from featkd.detection.afsd.output import BoundaryFeatures, Detections, DetectorOutput
from featkd.detection.afsd.priors import Priors
from featkd.detection.afsd.read_maps import read_maps
from featkd.detection.afsd.rearrange import Rearrangement, rearrange
from featkd.detection.afsd.targets import (
    BACKGROUND,
    Assignment,
    ClipAnnotations,
    assign_priors,
    boundary_maps,
)
from featkd.detection.afsd.tiou import distance_tiou

__all__ = [
    "AFSD",
    "BACKGROUND",
    "DETECTOR_LAYERS",
    "RELEASED_STUDENT",
    "RELEASED_TEACHER",
    "AFSDSpec",
    "Assignment",
    "BoundaryFeatures",
    "BoundaryLosses",
    "ClipAnnotations",
    "DetectionLossSpec",
    "Detections",
    "Detector",
    "DetectorOutput",
    "Priors",
    "Rearrangement",
    "ReusedDetectorSpec",
    "assign_priors",
    "background_loss",
    "boundary_losses",
    "boundary_maps",
    "build_attention_heads",
    "consistency_loss",
    "detection_terms",
    "detector_channels",
    "distance_tiou",
    "focal_loss",
    "read_maps",
    "rearrange",
]
