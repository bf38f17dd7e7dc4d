"""The teacher's full maps, read from a cache ahead of need."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from featkd.cache import CacheStore
from featkd.cache.signal import feature_array
from featkd.training.prefetch import prefetched
from featkd.training.views import epoch_pairs
from featkd.types import TapSpec

_STEPS_AHEAD = 2

StepMaps = tuple[Sequence[tuple[int, int]], Mapping[str, Tensor]]
"""(sample, view index) of each row of a step, and its maps by layer as the cache gives them."""


@dataclass(frozen=True, slots=True)
class CachedMaps:
    """Full maps of some layers, epoch by epoch.

    Attributes:
        store: a cache that holds ``features/<layer>.full`` of each layer.
        layers: what is read of every row.
        samples: which samples are learned from.
        row_of: cache row of (sample, view index).
        num_views: views a sample; each epoch reads one.
        batch_size: rows a step; an incomplete last batch is left out.
        seed: of the order.
    """

    store: CacheStore
    layers: Sequence[str]
    samples: Sequence[int]
    row_of: Callable[[int, int], int]
    num_views: int
    batch_size: int
    seed: int

    @property
    def steps_per_epoch(self) -> int:
        """Whole batches."""
        return len(self.samples) // self.batch_size

    def epoch(self, epoch: int) -> Iterator[StepMaps]:
        """The steps of an epoch, counted from 1; their maps, (B, C, T, H, W), are read by a thread.

        Raises:
            CacheError: a row is missing or damaged.
        """
        pairs = epoch_pairs(self.samples, num_views=self.num_views, epoch=epoch, seed=self.seed)
        size = self.batch_size
        steps = (pairs[step * size : (step + 1) * size] for step in range(self.steps_per_epoch))
        return prefetched(steps, self._read, depth=_STEPS_AHEAD)

    def _read(self, chosen: Sequence[tuple[int, int]]) -> dict[str, Tensor]:
        rows = [self.row_of(*pair) for pair in chosen]
        return {
            layer: self.store.read_rows(feature_array(TapSpec(layer, "full")), rows)
            for layer in self.layers
        }
