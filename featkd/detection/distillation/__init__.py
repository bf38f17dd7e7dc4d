"""Distillers for detection: losses from a student detector's output and a teacher's signal."""

from featkd.detection.distillation.base import (
    DetectionDistiller,
    DetectionTargets,
    DetectorAlone,
    Rearranged,
    supervised_terms,
)
from featkd.detection.distillation.generative import (
    RELEASED_GENERATIVE,
    DetectionGenerative,
    DetectionGenerativeSpec,
)
from featkd.detection.distillation.kd import DetectionKD, DetectionKDSpec
from featkd.detection.distillation.signal import DetectionSignal
from featkd.detection.distillation.simkd import DetectionSimKD, DetectionSimKDSpec

__all__ = [
    "RELEASED_GENERATIVE",
    "DetectionDistiller",
    "DetectionGenerative",
    "DetectionGenerativeSpec",
    "DetectionKD",
    "DetectionKDSpec",
    "DetectionSignal",
    "DetectionSimKD",
    "DetectionSimKDSpec",
    "DetectionTargets",
    "DetectorAlone",
    "Rearranged",
    "supervised_terms",
]
