"""The frozen teacher for detection: windows in, logits of all priors and taps out."""

from typing import Any

from torch import Tensor, nn

from featkd.detection.afsd import AFSD
from featkd.detection.distillation.cached_signal import (
    COARSE_LOGITS_ARRAY,
    REFINED_LOGITS_ARRAY,
)
from featkd.models import BaseTeacher


class DetectorTeacher(BaseTeacher):
    """A detector, frozen, with taps of its backbone; see `featkd.models.BaseTeacher`."""

    model: AFSD

    @property
    def tapped(self) -> nn.Module:
        """The backbone."""
        return self.model.backbone

    def kept(self, output: Any) -> dict[str, Tensor]:
        """Logits (B, P, 1 + K) before and after refinement."""
        return {
            COARSE_LOGITS_ARRAY: output.detections.coarse_logits,
            REFINED_LOGITS_ARRAY: output.detections.refined_logits,
        }
