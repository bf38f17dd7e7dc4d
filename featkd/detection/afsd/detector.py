"""The detector: feature maps of a backbone in, predictions out."""

from collections.abc import Mapping
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from featkd.detection.afsd.coarse import CoarseHead
from featkd.detection.afsd.output import BoundaryFeatures, Detections
from featkd.detection.afsd.priors import Priors
from featkd.detection.afsd.pyramid import FeaturePyramid, FrameFeature, MapShape
from featkd.detection.afsd.refinement import RefinementHead
from featkd.detection.afsd.windows import frame_windows, level_windows
from featkd.detection.boundary_pooling import boundary_max_pool

Initialisation = Literal["glorot", "released"]

DETECTOR_LAYERS = ("Mixed_4f", "Mixed_5c")
"""Backbone layers the detector reads, finer first."""


class Detector(nn.Module):
    """AFSD without its backbone (Lin et al., CVPR 2021, section 3), the variant for THUMOS14.

    Args:
        shapes: layer to (C, T, H, W) of the maps it will read; the layers of `DETECTOR_LAYERS`.
        channels: of all levels.
        num_classes: K, actions without background.
        num_frames: of a clip.
        num_levels: of the pyramid.
        initialisation: ``glorot``: uniform, bias 0, as AFSD on THUMOS14. ``released``: as published
            for distillation, all convolutions of towers, heads and branches normal with deviation
            0.01.

    Raises:
        ModelError: the clip's length does not fit the pyramid, or the maps do not.
    """

    def __init__(
        self,
        shapes: Mapping[str, MapShape],
        channels: int,
        num_classes: int,
        num_frames: int,
        num_levels: int,
        initialisation: Initialisation = "glorot",
    ) -> None:
        super().__init__()
        self.priors = Priors(num_frames, num_levels)
        fine, coarse = (shapes[layer] for layer in DETECTOR_LAYERS)
        self.pyramid = FeaturePyramid(fine, coarse, channels, self.priors.lengths)
        self.frame_feature = FrameFeature(channels, num_frames)
        self.coarse = CoarseHead(channels, 1 + num_classes, num_levels)
        self.refinement = RefinementHead(channels, 1 + num_classes)
        self.apply(_glorot)
        if initialisation == "released":
            self.coarse.apply(_small_normal)
            self.refinement.apply(_small_normal)

    def forward(self, maps: Mapping[str, Tensor]) -> Detections:
        """Predictions of all priors.

        Args:
            maps: layer to map (B, C, T, H, W).

        Raises:
            ModelError: a map has another spatial size than the detector was built for.
        """
        levels = self._levels(maps)
        frames = self.frame_feature(levels[0])
        localising = [self.coarse.localisation_tower(level) for level in levels]
        classifying = [self.coarse.classification_tower(level) for level in levels]
        distances = self.coarse.distances(localising)
        segments = self.priors.segments(distances)
        pooled_frames = boundary_max_pool(frames, frame_windows(segments))
        windows = level_windows(self.priors, distances)
        localised = self.refinement.localisation_branch(localising, windows, pooled_frames)
        classified = self.refinement.classification_branch(classifying, windows, pooled_frames)
        return Detections(
            coarse_distances=distances,
            coarse_logits=self.coarse.logits(classifying),
            offsets=self.refinement.offsets(localised),
            refined_logits=self.refinement.logits(classified),
            quality_logits=self.refinement.quality_logits(localised),
            boundaries=BoundaryFeatures(frames, localised.boundary, classified.boundary),
        )

    def coarse_logits(self, maps: Mapping[str, Tensor]) -> Float[Tensor, "batch priors outputs"]:
        """The coarse classes alone; raises as `forward`."""
        towers = [self.coarse.classification_tower(level) for level in self._levels(maps)]
        return self.coarse.logits(towers)

    def boundaries(self, maps: Mapping[str, Tensor]) -> BoundaryFeatures:
        """The boundary features alone; raises as `forward`."""
        finest = self._levels(maps)[0]
        branches = self.refinement
        return BoundaryFeatures(
            frames=self.frame_feature(finest),
            localisation=branches.localisation_branch.boundary(
                self.coarse.localisation_tower(finest)
            ),
            classification=branches.classification_branch.boundary(
                self.coarse.classification_tower(finest)
            ),
        )

    def _levels(self, maps: Mapping[str, Tensor]) -> list[Tensor]:
        fine, coarse = (maps[layer] for layer in DETECTOR_LAYERS)
        levels: list[Tensor] = self.pyramid(fine, coarse)
        return levels


def _glorot(module: nn.Module) -> None:
    if isinstance(module, nn.Conv1d | nn.Conv3d):
        nn.init.xavier_uniform_(module.weight)
        _clear_bias(module)


def _small_normal(module: nn.Module) -> None:
    if isinstance(module, nn.Conv1d):
        nn.init.normal_(module.weight, std=0.01)
        _clear_bias(module)


def _clear_bias(module: nn.Conv1d | nn.Conv3d) -> None:
    if isinstance(module.bias, torch.Tensor):
        nn.init.zeros_(module.bias)
