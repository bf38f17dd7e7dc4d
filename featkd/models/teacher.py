"""The frozen teacher: clips in, logits and taps out."""

from typing import Any

from jaxtyping import UInt8
from torch import Tensor, nn

from featkd.cache.signal import LOGITS_ARRAY, feature_array
from featkd.models.base_teacher import BaseTeacher


class Teacher(BaseTeacher):
    """Any module that maps clips to logits (B, K), frozen; see `BaseTeacher`."""

    @property
    def tapped(self) -> nn.Module:
        """The model itself."""
        return self.model

    def kept(self, output: Any) -> dict[str, Tensor]:
        """The logits."""
        return {LOGITS_ARRAY: output}

    def __call__(
        self, clips: UInt8[Tensor, "batch channels time height width"]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Logits (B, K) and, by tap key, the reduced maps, float32 on the teacher's device.

        Raises:
            ModelError: the model lacks a tapped layer.
        """
        answers = self.answers(clips)
        features = {tap.key: answers[feature_array(tap)] for tap in self.taps}
        return answers[LOGITS_ARRAY], features
