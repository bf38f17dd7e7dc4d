"""Feature representation: the teacher's attention head and CVAE, trained on cached maps.

The same two phases as a student's generative distillation, without its distillation terms
(Generative-based KD, AAAI 2024, Eq. 1-4 and 8-13). The backbone is never loaded: its last map
comes from the cache. Afterwards the attention of every row goes back into the cache.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import nn
from torch.nn import functional as F

from featkd.models import LAST_LAYER
from featkd.models.i3d import LogitsHead
from featkd.representation import CVAE, attended_feature, cross_entropy, cvae_loss
from featkd.representation.attention import PaperAttentionHead, ReleasedAttentionHead
from featkd.training.cached_maps import CachedMaps, StepMaps
from featkd.training.loop import train
from featkd.training.optimiser import Optimiser, OptimiserSpec
from featkd.training.runner import Run
from featkd.types import Progress, Spec


class AttentionTrainingSpec(Spec):
    """How attention heads and CVAEs are trained on a teacher's maps, whatever the task."""

    attention_head: Literal["paper", "released"] = "paper"
    """Kind of head, for the teacher and for students that need one."""
    cvae_hidden: Annotated[int, Field(ge=1)] | None = None
    """Width of the CVAE's hidden layers; default: the layer's channels."""
    kl_weight: Annotated[float, Field(ge=0)] = 0.1
    """Weight of the KL term in the CVAE loss."""
    reconstruction_weight: Annotated[float, Field(ge=0)] = 0.5
    """Weight of the prior reconstruction in the attention step, after its ramp."""
    ramp_epochs: Annotated[int, Field(ge=0)] = 20
    """Epochs over which that weight rises."""
    num_epochs: Annotated[int, Field(ge=1)] = 20
    """Epochs; each reads one view of every clip."""
    batch_size: Annotated[int, Field(ge=1)] = 16
    """Rows a step; an incomplete last batch is left out."""
    optimiser: OptimiserSpec = OptimiserSpec()
    """Moves attention head and classifier."""
    cvae_optimiser: OptimiserSpec = OptimiserSpec(
        kind="adam", learning_rate=1e-4, momentum=0.8, weight_decay=0.0
    )
    """Moves the CVAE."""


class RepresentationSpec(AttentionTrainingSpec):
    """What is learned about the teacher, and how."""

    layer: str = LAST_LAYER
    """Layer whose full map is learned."""

    @property
    def layers(self) -> tuple[str, ...]:
        """Layers whose full maps are learned."""
        return (self.layer,)


@dataclass(frozen=True)
class RepresentationModules:
    """The small modules that stay with the cache."""

    attention_head: PaperAttentionHead | ReleasedAttentionHead
    cvae: CVAE
    classifier: LogitsHead

    def items(self) -> Mapping[str, nn.Module]:
        """By the names they have in a `featkd.types.TeacherSignal`."""
        return {
            "attention_head": self.attention_head,
            "cvae": self.cvae,
            "classifier": self.classifier,
        }


class RepresentationTraining:
    """Trains the modules on one layer's cached maps.

    Args:
        maps: of the one layer that is learned from; its batch size is that of training.
        modules: what to train; the classifier usually starts as the teacher's own.
        labels: by sample.
        spec: settings.
        device: where to train.
        seed: of noise.
    """

    def __init__(
        self,
        *,
        maps: CachedMaps,
        modules: RepresentationModules,
        labels: Mapping[int, int],
        spec: RepresentationSpec,
        device: torch.device,
        seed: int,
    ) -> None:
        self.maps = maps
        self.modules = modules
        self.labels = labels
        self.spec = spec
        self.device = device
        self.seed = seed
        schedule = {"steps_per_epoch": maps.steps_per_epoch, "num_epochs": spec.num_epochs}
        for module in modules.items().values():
            module.to(device)
        self._optimiser = Optimiser(
            spec.optimiser,
            [*modules.attention_head.parameters(), *modules.classifier.parameters()],
            **schedule,
        )
        self._cvae_optimiser = Optimiser(spec.cvae_optimiser, modules.cvae.parameters(), **schedule)

    def run(self, folder: Path, *, settings: str, progress: Progress) -> float:
        """Train to the end, resuming what was begun; returns seconds.

        Raises:
            CheckpointError: the folder holds another run.
            CacheError: a row is missing.
            TrainingError: a loss is not finite.
        """
        return train(
            Run(
                folder=folder,
                settings=settings,
                seed=self.seed,
                num_epochs=self.spec.num_epochs,
                steps_per_epoch=self.maps.steps_per_epoch,
                batches=self.maps.epoch,
                passes=[self._update],
                parts={
                    **self.modules.items(),
                    "optimiser": self._optimiser,
                    "cvae_optimiser": self._cvae_optimiser,
                },
                learning_rate=lambda: self._optimiser.learning_rate,
            ),
            description="representation",
            progress=progress,
        )

    def _update(self, step: StepMaps, epoch: int) -> tuple[Mapping[str, float], int]:
        chosen, maps = step
        features = maps[self.spec.layer].to(self.device).float()
        labels = torch.tensor([self.labels[sample] for sample, _ in chosen], device=self.device)
        modules, spec = self.modules, self.spec
        attention = modules.attention_head(features)

        modules.cvae.requires_grad_(requires_grad=True)
        fixed = attention.detach()
        restored = modules.cvae.reconstruct(
            features, fixed, torch.randn_like(fixed.transpose(1, 2))
        )
        loss = cvae_loss(restored.features, features, *restored.posterior, fixed, spec.kl_weight)
        self._cvae_optimiser.step(loss.total)

        modules.cvae.requires_grad_(requires_grad=False)
        logits = modules.classifier(attended_feature(features, attention)).mean(dim=2)
        generated = modules.cvae.generate(attention, torch.randn_like(fixed.transpose(1, 2)))
        classification = cross_entropy(logits, labels)
        reconstruction = F.mse_loss(generated, features)
        ramp = min(epoch, spec.ramp_epochs) / spec.ramp_epochs if spec.ramp_epochs else 1.0
        self._optimiser.step(classification + ramp * spec.reconstruction_weight * reconstruction)
        values = {
            "cross_entropy": classification.item(),
            "reconstruction": reconstruction.item(),
            "cvae": loss.total.item(),
            "cvae.kl": loss.kl.item(),
            "attention.mean": fixed.mean().item(),
            "attention.deviation": fixed.std().item(),
            "loss": classification.item(),
            "top1": (logits.argmax(dim=1) == labels).float().mean().item(),
        }
        return values, len(labels)
