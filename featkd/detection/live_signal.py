"""The teacher in the loop: the same signal as a cache gives, computed on the spot."""

from collections.abc import Mapping, Sequence

from torch import nn

from featkd.cache.signal import SignalRequest, feature_array
from featkd.detection.detector_teacher import DetectorTeacher
from featkd.detection.distillation import (
    COARSE_LOGITS_ARRAY,
    REFINED_LOGITS_ARRAY,
    DetectionSignal,
)
from featkd.errors import UsageError
from featkd.representation import CVAE, attention_by_row
from featkd.types import TapSpec


class LiveDetectionSignal:
    """A source of signals that runs the teacher on every batch.

    Args:
        teacher: must have the full map of each layer that is asked for, or whose attention is.
        layers: whose maps to hand out.
        attention_heads: layer to the frozen head of the teacher's representation.
        cvaes: layer to frozen CVAE, to hand on.
    """

    needs_clips = True

    def __init__(
        self,
        teacher: DetectorTeacher,
        *,
        layers: Sequence[str] = (),
        attention_heads: Mapping[str, nn.Module] | None = None,
        cvaes: Mapping[str, CVAE] | None = None,
    ) -> None:
        self.teacher = teacher
        self.layers = tuple(layers)
        self.attention_heads = dict(attention_heads or {})
        self.cvaes = dict(cvaes or {})

    def signal(self, request: SignalRequest) -> DetectionSignal:
        """Run the teacher on the request's clips.

        Raises:
            UsageError: the request carries no clips.
        """
        if request.teacher_clips is None:
            raise UsageError("a live teacher was asked for a signal without teacher_clips")
        # Inference tensors cannot enter a graph; clones can.
        answers = {
            name: value.clone()
            for name, value in self.teacher.answers(request.teacher_clips).items()
        }
        return DetectionSignal(
            coarse_logits=answers[COARSE_LOGITS_ARRAY],
            refined_logits=answers[REFINED_LOGITS_ARRAY],
            features={layer: answers[_full_map(layer)] for layer in self.layers},
            attention={
                layer: attention_by_row(head, answers[_full_map(layer)])
                for layer, head in self.attention_heads.items()
            },
            cvaes=self.cvaes,
        )


def _full_map(layer: str) -> str:
    return feature_array(TapSpec(layer, "full"))
