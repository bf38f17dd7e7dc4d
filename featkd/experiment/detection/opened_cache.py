"""The cache of a recipe for detection, opened for training and checked against the recipe."""

from featkd.detection.afsd import Detector
from featkd.detection.distillation import CachedDetectionSignal, DetectionSignal
from featkd.experiment.base_opened_cache import BaseOpenedCache
from featkd.experiment.detection.frozen_modules import (
    DetectionModules,
    load_detection_modules,
    load_teacher_detector,
)


class OpenedDetectionCache(BaseOpenedCache[DetectionSignal]):
    """The cache of a recipe for detection; see `BaseOpenedCache`."""

    def modules(self) -> DetectionModules:
        """The representation that `represent` left, on the device.

        Raises:
            RequirementError: the cache lacks it; says which command adds it.
        """
        return load_detection_modules(self.store, self._workspace.device)

    def teacher_detector(self) -> Detector:
        """The teacher's own detector on the device.

        Raises:
            RequirementError: the cache lacks it; says which command adds it.
        """
        return load_teacher_detector(self.store, self._workspace.device)

    def signal(self) -> CachedDetectionSignal:
        """A source of what is needed: of taps, the full maps.

        Raises:
            RequirementError: the cache lacks something; the message says which command adds it.
        """
        needs = self._needs
        return CachedDetectionSignal(
            self.store,
            logits=needs.logits,
            layers=[tap.layer for tap in needs.taps if tap.reduction == "full"],
            attention_layers=needs.attention_layers,
            cvaes=self.modules().cvae_of() if needs.modules else {},
        )
