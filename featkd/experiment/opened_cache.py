"""A recipe's cache, opened for training and checked against the recipe."""

from torch import nn

from featkd.cache import CacheStore, require_match
from featkd.cache.signal import CachedSignal
from featkd.distillers import Requirements
from featkd.errors import CacheIncompleteError
from featkd.experiment.fingerprint import teacher_fingerprint
from featkd.experiment.frozen_modules import load_frozen_modules
from featkd.experiment.needs import taps_to_extract
from featkd.experiment.teacher import FrozenTeacher
from featkd.experiment.workspace import Workspace

TEACHER_LAYER = "teacher"
REPRESENTATION_LAYER = "representation"


class OpenedCache:
    """A complete cache that was made from what the recipe says.

    Attributes:
        store: open for reading (or writing, as given).
        samples: clips of which every view was extracted.
        failures: reason by row that has no data.

    Raises:
        CacheError: missing or damaged.
        FingerprintError: made by another teacher, recipe or manifest.
        CacheIncompleteError: extraction has not finished.
    """

    def __init__(self, workspace: Workspace, store: CacheStore, teacher: FrozenTeacher) -> None:
        self.store = store
        self._device = workspace.device
        taps = taps_to_extract(workspace.recipe)
        expected = teacher_fingerprint(workspace, teacher.card, teacher.weights_sha256, taps)
        layers = store.layers()
        if TEACHER_LAYER not in layers:
            raise CacheIncompleteError(f"{store.location} holds no features; run: featkd extract")
        self.fingerprint = layers[TEACHER_LAYER].fingerprint
        require_match(self.fingerprint, expected, cache=store.location)
        missing = store.num_parts - len(store.committed_parts(TEACHER_LAYER))
        if missing:
            raise CacheIncompleteError(
                f"{store.location} lacks {missing} of {store.num_parts} parts; extraction was "
                "stopped, run it again and it goes on: featkd extract"
            )
        self.failures = store.failures(TEACHER_LAYER)
        self.num_views = workspace.recipe.views.train.num_views
        failed = {row // self.num_views for row in self.failures}
        self.samples = [s for s in range(store.num_rows // self.num_views) if s not in failed]

    def row_of(self, sample: int, view_index: int) -> int:
        """Cache row of a view."""
        return sample * self.num_views + view_index

    def modules(self) -> dict[str, nn.Module]:
        """The frozen modules that `represent` left, on the device."""
        return load_frozen_modules(self.store, self._device)

    def signal(self, needs: Requirements) -> CachedSignal:
        """A source of what a distiller needs.

        Raises:
            RequirementError: the cache lacks something; the message says which command adds it.
        """
        return CachedSignal(
            self.store,
            logits=needs.logits,
            taps=needs.taps,
            attention_layers=needs.attention_layers,
            modules=self.modules() if needs.modules else {},
        )
