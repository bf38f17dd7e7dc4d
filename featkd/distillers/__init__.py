"""Distillers: losses from a student's output and a teacher's signal."""

from featkd.distillers.align import Aligner, pool_to_common_size, require_alignable
from featkd.distillers.at import AT, ATConfig
from featkd.distillers.base import Distiller, LossTerm, LossTerms
from featkd.distillers.generative import Generative, GenerativeConfig
from featkd.distillers.kd import KD, KDConfig, kd_loss
from featkd.distillers.none import StudentAlone, StudentAloneConfig
from featkd.distillers.registry import DISTILLERS, DistillerSpec, build_distiller
from featkd.distillers.requirements import Requirements
from featkd.distillers.shapes import Shapes

__all__ = [
    "AT",
    "DISTILLERS",
    "KD",
    "ATConfig",
    "Aligner",
    "Distiller",
    "DistillerSpec",
    "Generative",
    "GenerativeConfig",
    "KDConfig",
    "LossTerm",
    "LossTerms",
    "Requirements",
    "Shapes",
    "StudentAlone",
    "StudentAloneConfig",
    "build_distiller",
    "kd_loss",
    "pool_to_common_size",
    "require_alignable",
]
