"""The paper's feature representation: attention over channels and time, and a CVAE given it."""

from featkd.representation.attended import (
    attended_feature,
    attended_feature_batch_sum,
    attended_feature_inverse_sum,
)
from featkd.representation.attention import (
    ATTENTION_HEADS,
    AttentionHeadKind,
    PaperAttentionHead,
    ReleasedAttentionHead,
    attention_by_row,
    build_attention_head,
)
from featkd.representation.collapse import SpatialCollapse
from featkd.representation.cvae import CVAE, Posterior, Reconstruction
from featkd.representation.group_norm import build_group_norm
from featkd.representation.losses import (
    CVAELoss,
    cross_entropy,
    cvae_loss,
    double_softmax_cross_entropy,
)
from featkd.representation.precision import full_precision

__all__ = [
    "ATTENTION_HEADS",
    "CVAE",
    "AttentionHeadKind",
    "CVAELoss",
    "PaperAttentionHead",
    "Posterior",
    "Reconstruction",
    "ReleasedAttentionHead",
    "SpatialCollapse",
    "attended_feature",
    "attended_feature_batch_sum",
    "attended_feature_inverse_sum",
    "attention_by_row",
    "build_attention_head",
    "build_group_norm",
    "cross_entropy",
    "cvae_loss",
    "double_softmax_cross_entropy",
    "full_precision",
]
