"""Feature representation for detection: attention heads and CVAEs of both maps a detector reads.

The two phases of a student's generative distillation, without a teacher of its own
(Generative-based KD, AAAI 2024, Eq. 1-4 and 8-13). The backbone is never loaded: its maps come from
the cache. Rearranged clips are not there, so boundary consistency is left out.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from featkd.cache import CacheStore
from featkd.cache.signal import feature_array
from featkd.detection.afsd import (
    DETECTOR_LAYERS,
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
from featkd.training.detection_specs import DetectorRepresentationSpec
from featkd.training.loop import train
from featkd.training.optimiser import Optimiser
from featkd.training.prefetch import prefetched
from featkd.training.runner import Run
from featkd.training.views import epoch_pairs
from featkd.training.window_targets import window_targets
from featkd.types import Progress, TapSpec

_MAPS_AHEAD = 2


@dataclass(frozen=True, slots=True)
class _Rows:
    samples: list[int]
    rows: list[int]


_Maps = tuple[_Rows, dict[str, Tensor]]
"""Rows of a step and their maps as the cache gives them, by layer."""


class DetectorRepresentationTraining:
    """Trains attention heads, CVAEs and a detector on cached maps.

    Args:
        store: a cache that holds the full map of each layer.
        attention_heads: by layer, to be trained.
        detector: to be trained; usually starts as the teacher's own.
        rescale: of attended maps.
        shapes: layer to (C, T, H, W) of the maps.
        windows: what happens in each sample.
        samples: which of them to train on.
        row_of: cache row of (sample, view index).
        num_views: views a sample.
        spec: settings.
        losses: weights of the terms that learn from annotations.
        device: where to train.
        seed: of order and noise.

    Attributes:
        cvaes: by layer, made here.
    """

    def __init__(
        self,
        *,
        store: CacheStore,
        attention_heads: nn.ModuleDict,
        detector: Detector,
        rescale: Rescale,
        shapes: Mapping[str, tuple[int, int, int, int]],
        windows: Sequence[TrainingWindow],
        samples: Sequence[int],
        row_of: Callable[[int, int], int],
        num_views: int,
        spec: DetectorRepresentationSpec,
        losses: DetectionLossSpec,
        device: torch.device,
        seed: int,
    ) -> None:
        self.store = store
        self.rescale = rescale
        self.windows = windows
        self.samples = tuple(samples)
        self.row_of = row_of
        self.num_views = num_views
        self.spec = spec
        self.device = device
        self.seed = seed
        self.steps_per_epoch = len(self.samples) // spec.batch_size
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
        schedule = {"steps_per_epoch": self.steps_per_epoch, "num_epochs": spec.num_epochs}
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
                steps_per_epoch=self.steps_per_epoch,
                batches=self._batches,
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

    def _batches(self, epoch: int) -> Iterator[_Maps]:
        """The steps of an epoch; their maps are read by a thread, ahead of need."""
        return prefetched(self._rows(epoch), self._read, depth=_MAPS_AHEAD)

    def _rows(self, epoch: int) -> Iterator[_Rows]:
        pairs = epoch_pairs(self.samples, num_views=self.num_views, epoch=epoch, seed=self.seed)
        size = self.spec.batch_size
        for step in range(self.steps_per_epoch):
            chosen = pairs[step * size : (step + 1) * size]
            yield _Rows(
                samples=[sample for sample, _ in chosen],
                rows=[self.row_of(*pair) for pair in chosen],
            )

    def _read(self, chosen: _Rows) -> dict[str, Tensor]:
        return {
            layer: self.store.read_rows(feature_array(TapSpec(layer, "full")), chosen.rows)
            for layer in DETECTOR_LAYERS
        }

    def _update(self, batch: _Maps, epoch: int) -> tuple[Mapping[str, float], int]:
        chosen, maps = batch
        output = self._look(maps)
        learned = self._generative.generator_terms(output, DetectionSignal())
        self._cvae_optimiser.step(learned.total)
        windows = [self.windows[sample] for sample in chosen.samples]
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
