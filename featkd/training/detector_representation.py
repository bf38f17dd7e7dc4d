"""Feature representation for detection: attention heads and CVAEs of both maps a detector reads.

The two phases of a student's generative distillation, without a teacher of its own
(Generative-based KD, AAAI 2024, Eq. 1-4 and 8-13). The backbone is never loaded: its maps come from
the cache. Rearranged clips are not there, so boundary consistency is left out.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from featkd.detection.afsd import (
    DetectionLossSpec,
    Detector,
    DetectorOutput,
    read_maps,
)
from featkd.detection.afsd.read_maps import Rescale
from featkd.detection.distillation import (
    DetectionGenerative,
    DetectionGenerativeSpec,
    DetectionSignal,
)
from featkd.detection.windows import TrainingWindow
from featkd.training.cached_maps import CachedMaps, StepMaps
from featkd.training.detection_specs import DetectorRepresentationSpec
from featkd.training.loop import train
from featkd.training.optimiser import Optimiser
from featkd.training.runner import Run
from featkd.training.window_targets import window_targets
from featkd.types import Progress


class DetectorRepresentationTraining:
    """Trains attention heads, CVAEs and a detector on cached maps.

    Args:
        maps: of each layer; their batch size is that of training.
        attention_heads: by layer, to be trained.
        detector: to be trained; usually starts as the teacher's own.
        rescale: of attended maps.
        shapes: layer to (C, T, H, W) of the maps.
        windows: what happens in each sample.
        spec: settings.
        losses: weights of the terms that learn from annotations.
        device: where to train.
        seed: of noise.

    Attributes:
        cvaes: by layer, made here.
    """

    def __init__(
        self,
        *,
        maps: CachedMaps,
        attention_heads: nn.ModuleDict,
        detector: Detector,
        rescale: Rescale,
        shapes: Mapping[str, tuple[int, int, int, int]],
        windows: Sequence[TrainingWindow],
        spec: DetectorRepresentationSpec,
        losses: DetectionLossSpec,
        device: torch.device,
        seed: int,
    ) -> None:
        self.maps = maps
        self.rescale = rescale
        self.windows = windows
        self.spec = spec
        self.device = device
        self.seed = seed
        self._generative = DetectionGenerative(
            DetectionGenerativeSpec(
                recon_weight=spec.reconstruction_weight,
                ramp_epochs=spec.ramp_epochs,
                attention_weight=0.0,
                kd_gen_weight=0.0,
                kl_weight=spec.kl_weight,
                cvae_hidden=spec.cvae_hidden,
            ),
            losses,
            shapes,
            teacher_attention={},
        )
        self.attention_heads = attention_heads.to(device)
        self.cvaes = self._generative.generators.to(device)
        self.detector = detector.to(device)
        schedule = {"steps_per_epoch": maps.steps_per_epoch, "num_epochs": spec.num_epochs}
        self._optimiser = Optimiser(
            spec.optimiser, [*attention_heads.parameters(), *detector.parameters()], **schedule
        )
        self._cvae_optimiser = Optimiser(spec.cvae_optimiser, self.cvaes.parameters(), **schedule)

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
                    "attention_heads": self.attention_heads,
                    "cvaes": self.cvaes,
                    "detector": self.detector,
                    "optimiser": self._optimiser,
                    "cvae_optimiser": self._cvae_optimiser,
                },
                learning_rate=lambda: self._optimiser.learning_rate,
                begin_pass=self._begin_pass,
            ),
            description="representation",
            progress=progress,
        )

    def _begin_pass(self) -> None:
        # The loop has just seeded torch from (seed, epoch); the noise follows, for resuming.
        self._generative.noise.manual_seed(torch.initial_seed())

    def _update(self, step: StepMaps, epoch: int) -> tuple[Mapping[str, float], int]:
        chosen, maps = step
        output = self._look(maps)
        learned = self._generative.generator_terms(output, DetectionSignal())
        self._cvae_optimiser.step(learned.total)
        windows = [self.windows[sample] for sample, _ in chosen]
        targets = window_targets(windows, self.detector.priors, self.device)
        terms = self._generative.student_terms(output, DetectionSignal(), targets, epoch)
        loss = terms.total
        self._optimiser.step(loss)
        values = {name: value.item() for name, value in terms.unweighted().items()}
        values |= {name: value.item() for name, value in learned.unweighted().items()}
        for layer, attention in output.attention.items():
            values[f"attention_mean_{layer}"] = attention.mean().item()
            values[f"attention_deviation_{layer}"] = attention.std().item()
        return values | {"loss": loss.item()}, len(windows)

    def _look(self, maps: Mapping[str, Tensor]) -> DetectorOutput:
        return read_maps(
            {layer: value.to(self.device).float() for layer, value in maps.items()},
            self.detector,
            attention_heads=self.attention_heads,
            projectors=nn.ModuleDict(),
            rescale=self.rescale,
        )
