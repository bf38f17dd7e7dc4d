"""The teacher in the loop: the same signal as a cache gives, computed on the spot."""

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from featkd.cache.signal import SignalRequest
from featkd.errors import RequirementError, UsageError
from featkd.models.teacher import Teacher
from featkd.representation import attention_by_row
from featkd.types import LinearClassifier, TapSpec, TeacherSignal


class LiveSignal:
    """A `featkd.cache.signal.SignalSource` that runs the teacher on every batch.

    Args:
        teacher: must have every tap that is asked for, and ``<layer>.full`` for each layer whose
            attention is asked for.
        taps: which of the teacher's taps to hand out.
        attention_layers: layers whose attention to compute with ``modules["attention_head"]``.
        classifier: the teacher's own, to hand on.
        modules: frozen modules, as `represent` left them.

    Raises:
        RequirementError: attention is asked for without an attention head.
    """

    needs_clips = True

    def __init__(
        self,
        teacher: Teacher,
        *,
        taps: Sequence[TapSpec] = (),
        attention_layers: Sequence[str] = (),
        classifier: LinearClassifier | None = None,
        modules: Mapping[str, nn.Module] | None = None,
    ) -> None:
        self.modules = dict(modules or {})
        if attention_layers and "attention_head" not in self.modules:
            raise RequirementError(
                f"attention of {', '.join(attention_layers)} is asked of a live teacher that has "
                "no attention head; train one first: featkd represent"
            )
        self.teacher = teacher
        self.taps = tuple(taps)
        self.attention_layers = tuple(attention_layers)
        self.classifier = classifier

    def signal(self, request: SignalRequest) -> TeacherSignal:
        """Run the teacher on the request's clips.

        Raises:
            UsageError: the request carries no clips.
        """
        if request.teacher_clips is None:
            raise UsageError("a live teacher was asked for a signal without teacher_clips")
        logits, features = self.teacher(request.teacher_clips)
        # Inference tensors cannot enter a graph; clones can.
        features = {key: value.clone() for key, value in features.items()}
        attention: dict[str, Tensor] = {}
        for layer in self.attention_layers:
            full_map = features[TapSpec(layer, "full").key]
            attention[layer] = attention_by_row(self.modules["attention_head"], full_map)
        return TeacherSignal(
            logits=logits.clone(),
            features={tap.key: features[tap.key] for tap in self.taps},
            attention=attention,
            classifier=self.classifier,
            modules=self.modules,
        )
