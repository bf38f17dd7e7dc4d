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
from featkd.distillers.ctkd import CTKD, CTKDConfig
from featkd.distillers.dist import DIST, DISTConfig
from featkd.distillers.dkd import DKD, DKDConfig
from featkd.distillers.fitnets import FitNets, FitNetsConfig
from featkd.distillers.fn import FN, FNConfig
from featkd.distillers.generative import Generative, GenerativeConfig
from featkd.distillers.kd import KD, KDConfig, kd_loss
from featkd.distillers.lskd import LSKD, LSKDConfig
from featkd.distillers.mgd import MGD, MGDConfig
from featkd.distillers.none import StudentAlone, StudentAloneConfig
from featkd.distillers.registry import DISTILLERS
from featkd.distillers.requirements import Requirements
from featkd.distillers.shapes import Shapes
from featkd.distillers.simkd import SimKD, SimKDConfig
from featkd.distillers.srd import SRD, SRDConfig
from featkd.distillers.ttm import TTM, TTMConfig
from featkd.distillers.vkd import VkD, VkDConfig
from featkd.distillers.wkd import WKD, WKDConfig
from featkd.distillers.wkd_logit import WKDLogit, WKDLogitConfig
from featkd.distillers.wttm import WTTM, WTTMConfig

__all__ = [
    "AT",
    "CROSS_ENTROPY",
    "CTKD",
    "DIST",
    "DISTILLERS",
    "DKD",
    "FN",
    "KD",
    "LSKD",
    "MGD",
    "SRD",
    "TTM",
    "WKD",
    "WTTM",
    "ATConfig",
    "Aligner",
    "CTKDConfig",
    "Collaborative",
    "CollaborativeConfig",
    "Combined",
    "CombinedConfig",
    "DISTConfig",
    "DKDConfig",
    "Distiller",
    "DistillerConfig",
    "DistillerSpec",
    "FNConfig",
    "FitNets",
    "FitNetsConfig",
    "Generative",
    "GenerativeConfig",
    "KDConfig",
    "LSKDConfig",
    "LossTerm",
    "LossTerms",
    "MGDConfig",
    "Requirements",
    "SRDConfig",
    "Shapes",
    "SimKD",
    "SimKDConfig",
    "StudentAlone",
    "StudentAloneConfig",
    "TTMConfig",
    "VkD",
    "VkDConfig",
    "WKDConfig",
    "WKDLogit",
    "WKDLogitConfig",
    "WTTMConfig",
    "build_distiller",
    "cross_entropy_term",
    "generative_part",
    "hint_loss",
    "kd_loss",
    "pool_to_common_size",
    "require_alignable",
]
