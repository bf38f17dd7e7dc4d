"""What the detector says. Shapes use the letters of the glossary and P for priors."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor


class BoundaryFeatures(NamedTuple):
    """Features in which boundaries are to stand out.

    The first half of the channels of each is about starts, the second half about ends.

    Attributes:
        frames: one time step a frame, (B, C, frames).
        localisation: level 0 of the localisation branch, (B, 2C, T).
        classification: level 0 of the classification branch, (B, 2C, T).
    """

    frames: Float[Tensor, "batch channels frames"]
    localisation: Float[Tensor, "batch twice_channels time"]
    classification: Float[Tensor, "batch twice_channels time"]


class Detections(NamedTuple):
    """Predictions of all priors for a batch of clips.

    Attributes:
        coarse_distances: (B, P, 2), from the prior back to the start and on to the end, in frames.
        coarse_logits: (B, P, 1 + K); output 0 is background, as in all logits here.
        offsets: (B, P, 2), corrections of the distances in halves of the coarse segment's length.
        refined_logits: (B, P, 1 + K).
        quality_logits: (B, P), log odds of the refined segment's tIoU.
        boundaries: what the boundary losses look at.
    """

    coarse_distances: Float[Tensor, "batch priors 2"]
    coarse_logits: Float[Tensor, "batch priors outputs"]
    offsets: Float[Tensor, "batch priors 2"]
    refined_logits: Float[Tensor, "batch priors outputs"]
    quality_logits: Float[Tensor, "batch priors"]
    boundaries: BoundaryFeatures

    @property
    def half_lengths(self) -> Float[Tensor, "batch priors 1"]:
        """Half the length of each coarse segment, in frames."""
        return self.coarse_distances.sum(dim=2, keepdim=True) / 2

    @property
    def refined_distances(self) -> Float[Tensor, "batch priors 2"]:
        """Corrected distances in frames; they may be negative."""
        return self.coarse_distances + self.half_lengths * self.offsets


@dataclass(frozen=True, slots=True)
class DetectorOutput:
    """What a detector computed for a batch: its answer, and what distillers look at.

    Attributes:
        detections: the answer.
        features: layer to its map (B, C, T, H, W), before attention.
        attention: layer to attention (B, C, T); empty without attention heads.
        projected: layer to its map in the teacher's channels; empty without projectors.
        background_logits: (B, P, 1 + K), coarse logits of what attention leaves out; None where
            nobody asked for them.
    """

    detections: Detections
    features: Mapping[str, Float[Tensor, "batch _channels _time _height _width"]]
    attention: Mapping[str, Float[Tensor, "batch _channels _time"]] = field(default_factory=dict)
    projected: Mapping[str, Float[Tensor, "batch _channels _time _height _width"]] = field(
        default_factory=dict
    )
    background_logits: Float[Tensor, "batch priors outputs"] | None = None
