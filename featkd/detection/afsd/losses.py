"""The detector's losses: AFSD (Lin et al., CVPR 2021), section 3.4, as published for THUMOS14."""

from typing import Annotated

import torch
from jaxtyping import Float, Int
from pydantic import Field, NonNegativeFloat
from torch import Tensor
from torch.nn import functional as F

from featkd.detection.afsd.boundary_loss import boundary_losses
from featkd.detection.afsd.output import Detections
from featkd.detection.afsd.targets import BACKGROUND, Assignment
from featkd.detection.afsd.tiou import distance_tiou
from featkd.distillers import LossTerm, LossTerms
from featkd.representation import full_precision
from featkd.types import Spec

_FOCUS = 2
_ACTION_WEIGHT, _BACKGROUND_WEIGHT = 0.75, 0.25
_LEAST_PROBABILITY = 1e-6


class DetectionLossSpec(Spec):
    """Weights of the detector's losses; the defaults are AFSD's on THUMOS14."""

    localisation_weight: NonNegativeFloat = 10.0
    """Of both localisation losses."""
    classification_weight: NonNegativeFloat = 1.0
    """Of both classification losses and the quality loss."""
    consistency_weight: NonNegativeFloat = 0.1
    """Of boundary consistency between a clip and its rearranged copy."""
    refined_tiou: Annotated[float, Field(ge=0, le=1)] = 0.5
    """A prior keeps its action in the refined losses from this tIoU of its coarse segment on."""
    detach_quality_target: bool = False
    """Whether the quality loss leaves segments alone. As published it does not: the tIoU that
    quality is to predict has a gradient of its own."""


def detection_terms(
    detections: Detections,
    assignment: Assignment,
    maps: Float[Tensor, "batch 2 frames"],
    spec: DetectionLossSpec,
) -> LossTerms:
    """Compute all losses of a batch of clips but boundary consistency.

    Terms: ``loc`` and ``cls`` of the coarse predictions, ``refined_loc`` and ``refined_cls``,
    ``quality``, ``start`` and ``end``.

    Args:
        detections: with gradients.
        assignment: what each prior is to find.
        maps: frames around starts and ends, 0 or 1.
        spec: weights.
    """
    coarse = full_precision(detections.coarse_distances)
    target = assignment.distances.to(coarse)
    tiou = distance_tiou(coarse, target)
    is_action = assignment.labels != BACKGROUND
    keeps_action = is_action & (tiou.detach() >= spec.refined_tiou)
    refined_labels = torch.where(keeps_action, assignment.labels, BACKGROUND)
    num_actions, num_refined = is_action.sum().clamp(min=1), keeps_action.sum().clamp(min=1)

    start, end = boundary_losses(detections.boundaries, maps)
    localisation, classification = spec.localisation_weight, spec.classification_weight
    return LossTerms(
        (
            LossTerm("loc", localisation, (1 - tiou)[is_action].sum() / num_actions),
            LossTerm(
                "cls",
                classification,
                focal_loss(detections.coarse_logits, assignment.labels) / num_actions,
            ),
            LossTerm(
                "refined_loc",
                localisation,
                _offset_loss(detections, target, keeps_action) / num_refined,
            ),
            LossTerm(
                "refined_cls",
                classification,
                focal_loss(detections.refined_logits, refined_labels) / num_refined,
            ),
            LossTerm(
                "quality",
                classification,
                _quality_loss(detections, target, is_action, spec) / num_actions,
            ),
            LossTerm("start", 1.0, start),
            LossTerm("end", 1.0, end),
        )
    )


def focal_loss(
    logits: Float[Tensor, "batch priors outputs"], labels: Int[Tensor, "batch priors"]
) -> Float[Tensor, ""]:
    """Sum ``-a_y (1 - q)^2 log q`` over all priors, q the probability of the right class.

    Lin et al., "Focal Loss for Dense Object Detection" (ICCV 2017), Eq. 5, with a softmax in the
    place of sigmoids. a is 0.75 for actions and 0.25 for background.

    Args:
        logits: output 0 is background.
        labels: the right class of each prior.
    """
    probabilities = full_precision(logits).softmax(dim=2)
    right = probabilities.gather(2, labels[..., None]).squeeze(2) + _LEAST_PROBABILITY
    weight = torch.where(labels == BACKGROUND, _BACKGROUND_WEIGHT, _ACTION_WEIGHT)
    return -(weight * (1 - right) ** _FOCUS * right.log()).sum()


def background_loss(logits: Float[Tensor, "batch priors outputs"]) -> Float[Tensor, ""]:
    """Sum the focal loss of priors that all are background.

    The published code of generative distillation asks this of what attention leaves out. It is a
    sum, about 87 a clip while nothing is learned.
    """
    return focal_loss(logits, torch.full(logits.shape[:2], BACKGROUND, device=logits.device))


def _offset_loss(
    detections: Detections,
    target: Float[Tensor, "batch priors 2"],
    counted: Tensor,
) -> Float[Tensor, ""]:
    coarse = full_precision(detections.coarse_distances.detach())
    half_lengths = coarse.sum(dim=2, keepdim=True) / 2
    expected = (target - coarse) / half_lengths
    errors = (full_precision(detections.offsets) - expected).abs()
    return errors[counted].sum()


def _quality_loss(
    detections: Detections,
    target: Float[Tensor, "batch priors 2"],
    counted: Tensor,
    spec: DetectionLossSpec,
) -> Float[Tensor, ""]:
    quality = distance_tiou(full_precision(detections.refined_distances), target).clamp(min=0)
    if spec.detach_quality_target:
        quality = quality.detach()
    logits = full_precision(detections.quality_logits)[counted]
    return F.binary_cross_entropy_with_logits(logits, quality[counted], reduction="sum")
