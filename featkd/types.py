"""Value objects that pass between rooms. They hold data and check it; they do no work.

Those that need no torch lie in files of their own, so that a manifest opens without it.
Shapes use the letters of the glossary: batch B, channels C, time T, height H, width W, classes K.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from featkd.clip import Clip, ClipSequence, View
from featkd.progress import Item, Progress, Silent
from featkd.spec import Spec

__all__ = [
    "REDUCTIONS",
    "Clip",
    "ClipSequence",
    "Item",
    "LinearClassifier",
    "Progress",
    "Reduction",
    "Silent",
    "Spec",
    "StudentOutput",
    "TapSpec",
    "TeacherSignal",
    "View",
]

Reduction = Literal["full", "pooled", "moments", "frame_moments", "spatial_attention"]
REDUCTIONS: tuple[Reduction, ...] = (
    "full",
    "pooled",
    "moments",
    "frame_moments",
    "spatial_attention",
)


@dataclass(frozen=True, slots=True, order=True)
class TapSpec:
    """A named layer of a teacher and what is kept of its output.

    Reductions of a map F of shape (C, T, H, W): ``full`` keeps it; ``pooled`` is its mean over
    T, H, W, shape (C,); ``moments`` its mean and unbiased standard deviation over T, H, W, shape
    (2, C); ``frame_moments`` the same over H, W at each time step, shape (2, C, T);
    ``spatial_attention`` the mean over channels of F squared, shape (T, H, W).
    """

    layer: str
    reduction: Reduction

    @property
    def key(self) -> str:
        """Name of the tap in signals and caches, for example ``Mixed_5c.full``."""
        return f"{self.layer}.{self.reduction}"

    @classmethod
    def parse(cls, key: str) -> "TapSpec":
        """Read a key back.

        Raises:
            ValueError: it has no layer or no known reduction.
        """
        layer, _, reduction = key.rpartition(".")
        for known in REDUCTIONS:
            if layer and reduction == known:
                return cls(layer, known)
        raise ValueError(
            f"tap {key!r} ends in no reduction; expected <layer>.<reduction> with one of "
            f"{', '.join(REDUCTIONS)}"
        )


@dataclass(frozen=True, slots=True)
class LinearClassifier:
    """The last layer of a network: logits are ``weight @ f + bias`` of a pooled feature f (C,).

    Attributes:
        weight: (K, C).
        bias: (K,).
    """

    weight: Float[Tensor, "classes channels"]
    bias: Float[Tensor, " classes"]

    def __call__(self, pooled: Float[Tensor, "batch channels"]) -> Float[Tensor, "batch classes"]:
        """Logits of pooled features, in their precision."""
        weight, bias = self.weight.to(pooled.dtype), self.bias.to(pooled.dtype)
        return F.linear(pooled, weight, bias)


@dataclass(frozen=True, slots=True)
class TeacherSignal:
    """What a teacher says about a batch, from a cache or live.

    Attributes:
        logits: (B, K), unnormalised, averaged over time; None where nobody needs them.
        features: tap key to tensor, batch first, shapes as in `TapSpec`.
        attention: layer to the teacher's attention (B, C, T), as ``represent`` learned it.
        classifier: the teacher's own, frozen; None where nobody needs it.
        modules: frozen modules that ``represent`` left beside the cache, by name
            (``attention_head``, ``cvae``, ``classifier``); their parameters do not require
            gradients.
        trajectory: (B, K), logits that the teacher had at the same visit to these views while it
            was trained itself, after its last visit those of the last one; a row of NaN where it
            did not learn from the clip then; None where nobody needs them.
    """

    logits: Float[Tensor, "batch classes"] | None = None
    features: Mapping[str, Tensor] = field(default_factory=dict)
    attention: Mapping[str, Float[Tensor, "batch _channels _time"]] = field(default_factory=dict)
    classifier: LinearClassifier | None = None
    modules: Mapping[str, nn.Module] = field(default_factory=dict)
    trajectory: Float[Tensor, "batch classes"] | None = None

    def to(self, device: torch.device) -> "TeacherSignal":
        """The same signal with its tensors on a device; classifier and modules are there."""
        return TeacherSignal(
            logits=None if self.logits is None else self.logits.to(device),
            features={key: value.to(device) for key, value in self.features.items()},
            attention={layer: value.to(device) for layer, value in self.attention.items()},
            classifier=self.classifier,
            modules=self.modules,
            trajectory=None if self.trajectory is None else self.trajectory.to(device),
        )


@dataclass(frozen=True, slots=True)
class StudentOutput:
    """What a student computed for a batch.

    Attributes:
        logits: (B, K), averaged over time.
        features: layer to its map (B, C, T, H, W), before attention.
        attention: (B, C, T) of the student's attention head, or None where it has none.
        frame_logits: (B, K, T'), before averaging over time; the released code's classifier loss
            needs them.
        clips: (B, C, T, H, W), what the student was shown, normalised.
        classifier: the student's own last layer, with gradients.
        projected: (B, C', T, H, W), the last map in the teacher's channels, or None where the
            student has no projector.
    """

    logits: Float[Tensor, "batch classes"]
    features: Mapping[str, Float[Tensor, "batch _channels _time _height _width"]]
    attention: Float[Tensor, "batch channels time"] | None = None
    frame_logits: Float[Tensor, "batch classes steps"] | None = None
    clips: Float[Tensor, "batch _inputs _frames _rows _columns"] | None = None
    classifier: LinearClassifier | None = None
    projected: Float[Tensor, "batch _projected _time _height _width"] | None = None
