"""Distillers: losses from a student's output and a teacher's signal."""

from featkd.distillers.align import Aligner, pool_to_common_size, require_alignable
from featkd.distillers.at import AT, ATConfig
from featkd.distillers.base import (
    CROSS_ENTROPY,
    Distiller,
    DistillerConfig,
    LossTerm,
    LossTerms,
    cross_entropy_term,
)
from featkd.distillers.collaborative import Collaborative, CollaborativeConfig, hint_loss
from featkd.distillers.combined import (
    Combined,
    CombinedConfig,
    DistillerSpec,
    build_distiller,
    generative_part,
)
from featkd.distillers.generative import Generative, GenerativeConfig
from featkd.distillers.kd import KD, KDConfig, kd_loss
from featkd.distillers.none import StudentAlone, StudentAloneConfig
from featkd.distillers.registry import DISTILLERS
from featkd.distillers.requirements import Requirements
from featkd.distillers.shapes import Shapes

__all__ = [
    "AT",
    "CROSS_ENTROPY",
    "DISTILLERS",
    "KD",
    "ATConfig",
    "Aligner",
    "Collaborative",
    "CollaborativeConfig",
    "Combined",
    "CombinedConfig",
    "Distiller",
    "DistillerConfig",
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
    "cross_entropy_term",
    "generative_part",
    "hint_loss",
    "kd_loss",
    "pool_to_common_size",
    "require_alignable",
]
