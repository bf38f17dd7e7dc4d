"""Distillers for detection: losses from a student detector's output and a teacher's signal."""

from featkd.detection.distillation.base import (
    DetectionDistiller,
    DetectionTargets,
    DetectorAlone,
    Rearranged,
    supervised_terms,
)
from featkd.detection.distillation.cached_signal import (
    COARSE_LOGITS_ARRAY,
    REFINED_LOGITS_ARRAY,
    CachedDetectionSignal,
)
from featkd.detection.distillation.generative import (
    RELEASED_GENERATIVE,
    DetectionGenerative,
    DetectionGenerativeSpec,
    build_cvaes,
)
from featkd.detection.distillation.kd import DetectionKD, DetectionKDSpec
from featkd.detection.distillation.registry import (
    AnyDetectionSpec,
    DetectionDistillerSpec,
    DetectorAloneSpec,
    build_detection_distiller,
)
from featkd.detection.distillation.signal import DetectionSignal
from featkd.detection.distillation.simkd import DetectionSimKD, DetectionSimKDSpec

__all__ = [
    "COARSE_LOGITS_ARRAY",
    "REFINED_LOGITS_ARRAY",
    "RELEASED_GENERATIVE",
    "AnyDetectionSpec",
    "CachedDetectionSignal",
    "DetectionDistiller",
    "DetectionDistillerSpec",
    "DetectionGenerative",
    "DetectionGenerativeSpec",
    "DetectionKD",
    "DetectionKDSpec",
    "DetectionSignal",
    "DetectionSimKD",
    "DetectionSimKDSpec",
    "DetectionTargets",
    "DetectorAlone",
    "DetectorAloneSpec",
    "Rearranged",
    "build_cvaes",
    "build_detection_distiller",
    "supervised_terms",
]
