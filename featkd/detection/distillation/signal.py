"""What a teacher says about a batch of windows, from a cache or live."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from featkd.detection.afsd.output import DetectorOutput
from featkd.errors import RequirementError
from featkd.representation import CVAE


@dataclass(frozen=True, slots=True)
class DetectionSignal:
    """A teacher's answer, of which a distiller takes what it needs.

    Attributes:
        coarse_logits: (B, P, 1 + K), output 0 is background; None where nobody needs them.
        refined_logits: the same after refinement.
        features: layer to map (B, C, T, H, W).
        attention: layer to attention (B, C, T), as the teacher's representation learned it.
        cvaes: layer to the frozen CVAE of the teacher's representation.
    """

    coarse_logits: Float[Tensor, "batch priors outputs"] | None = None
    refined_logits: Float[Tensor, "batch priors outputs"] | None = None
    features: Mapping[str, Float[Tensor, "batch _channels _time _height _width"]] = field(
        default_factory=dict
    )
    attention: Mapping[str, Float[Tensor, "batch _channels _time"]] = field(default_factory=dict)
    cvaes: Mapping[str, CVAE] = field(default_factory=dict)

    @classmethod
    def live(
        cls, teacher: DetectorOutput, cvaes: Mapping[str, CVAE] | None = None
    ) -> "DetectionSignal":
        """What a teacher just said, cut from its graph."""
        return cls(
            coarse_logits=teacher.detections.coarse_logits.detach(),
            refined_logits=teacher.detections.refined_logits.detach(),
            features={layer: value.detach() for layer, value in teacher.features.items()},
            attention={layer: value.detach() for layer, value in teacher.attention.items()},
            cvaes=cvaes or {},
        )

    def to(self, device: torch.device) -> "DetectionSignal":
        """The same signal with its tensors on a device; the CVAEs are there."""
        return DetectionSignal(
            coarse_logits=None if self.coarse_logits is None else self.coarse_logits.to(device),
            refined_logits=None if self.refined_logits is None else self.refined_logits.to(device),
            features={layer: value.to(device) for layer, value in self.features.items()},
            attention={layer: value.to(device) for layer, value in self.attention.items()},
            cvaes=self.cvaes,
        )

    def logits(self) -> tuple[Tensor, Tensor]:
        """Coarse and refined logits. Raises RequirementError where the signal lacks them."""
        if self.coarse_logits is None or self.refined_logits is None:
            raise RequirementError("the teacher's signal holds no logits of priors")
        return self.coarse_logits, self.refined_logits

    def feature(self, layer: str) -> Tensor:
        """The map of a layer. Raises RequirementError where the signal lacks it."""
        return _pick(self.features, layer, "map")

    def layer_attention(self, layer: str) -> Tensor:
        """The attention of a layer. Raises RequirementError where the signal lacks it."""
        return _pick(self.attention, layer, "attention")

    def cvae(self, layer: str) -> CVAE:
        """The CVAE of a layer. Raises RequirementError where the signal lacks it."""
        if layer not in self.cvaes:
            raise RequirementError(_missing("CVAE", layer, self.cvaes))
        return self.cvaes[layer]


def _pick(values: Mapping[str, Tensor], layer: str, what: str) -> Tensor:
    if layer not in values:
        raise RequirementError(_missing(what, layer, values))
    return values[layer]


def _missing(what: str, layer: str, there: Mapping[str, object]) -> str:
    return (
        f"the teacher's signal holds no {what} of layer {layer!r}; "
        f"it has {', '.join(sorted(there)) or 'none'}"
    )
