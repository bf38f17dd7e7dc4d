"""A recipe's cache, opened for training and checked against the recipe."""

from torch import nn

from featkd.cache import CachedSignal
from featkd.experiment.base_opened_cache import BaseOpenedCache
from featkd.experiment.frozen_modules import load_classifier, load_frozen_modules
from featkd.types import LinearClassifier, TeacherSignal


class OpenedCache(BaseOpenedCache[TeacherSignal]):
    """The cache of a recipe for classification; see `BaseOpenedCache`."""

    def modules(self) -> dict[str, nn.Module]:
        """The frozen modules that `represent` left, on the device."""
        return load_frozen_modules(self.store, self._workspace.device)

    def classifier(self) -> LinearClassifier | None:
        """The teacher's own classifier on the device, where it is needed.

        Raises:
            RequirementError: the cache lacks it; says which command adds it.
        """
        if not self._needs.classifier:
            return None
        return load_classifier(self.store, self._workspace.device)

    def signal(self) -> CachedSignal:
        """A source of what is needed.

        Raises:
            RequirementError: the cache lacks something; the message says which command adds it.
        """
        needs = self._needs
        return CachedSignal(
            self.store,
            logits=needs.logits,
            trajectory=needs.trajectory,
            taps=needs.taps,
            attention_layers=needs.attention_layers,
            classifier=self.classifier(),
            modules=self.modules() if needs.modules else {},
        )
