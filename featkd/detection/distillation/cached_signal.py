"""What a teacher says about windows, read from a cache."""

from collections.abc import Mapping, Sequence

from torch import Tensor

from featkd.cache import CacheStore
from featkd.cache.signal import SignalRequest, attention_array, feature_array
from featkd.detection.distillation.signal import DetectionSignal
from featkd.errors import RequirementError
from featkd.representation import CVAE
from featkd.types import TapSpec

COARSE_LOGITS_ARRAY = "coarse_logits"
"""Logits (P, 1 + K) of all priors; output 0 is background."""

REFINED_LOGITS_ARRAY = "refined_logits"
"""The same after refinement."""


class CachedDetectionSignal:
    """Teacher signals for detection that are read from a cache.

    Args:
        store: the cache, open for as long as signals are wanted.
        logits: whether to read the logits of all priors.
        layers: layers whose full maps to read.
        attention_layers: layers whose attention to read.
        cvaes: layer to frozen CVAE, to hand on.

    Raises:
        RequirementError: the cache lacks an array; the message says which command adds it.
    """

    needs_clips = False

    def __init__(
        self,
        store: CacheStore,
        *,
        logits: bool,
        layers: Sequence[str] = (),
        attention_layers: Sequence[str] = (),
        cvaes: Mapping[str, CVAE] | None = None,
    ) -> None:
        self.store = store
        self.logits = logits
        self.maps = {layer: feature_array(TapSpec(layer, "full")) for layer in layers}
        self.attention = {layer: attention_array(layer) for layer in attention_layers}
        self.cvaes = dict(cvaes or {})
        extracted = [COARSE_LOGITS_ARRAY, REFINED_LOGITS_ARRAY] if logits else []
        self._require([*extracted, *self.maps.values()], "featkd extract")
        self._require([*self.attention.values()], "featkd represent")

    def signal(self, request: SignalRequest) -> DetectionSignal:
        """Read the rows of a batch, as float32 on the CPU.

        Raises:
            CacheError: a row failed at extraction or is damaged.
            CacheIncompleteError: a row is not committed yet.
        """
        return DetectionSignal(
            coarse_logits=self._read(COARSE_LOGITS_ARRAY, request) if self.logits else None,
            refined_logits=self._read(REFINED_LOGITS_ARRAY, request) if self.logits else None,
            features={layer: self._read(name, request) for layer, name in self.maps.items()},
            attention={layer: self._read(name, request) for layer, name in self.attention.items()},
            cvaes=self.cvaes,
        )

    def _read(self, array_name: str, request: SignalRequest) -> Tensor:
        return self.store.read_rows(array_name, request.rows).float()

    def _require(self, names: Sequence[str], command: str) -> None:
        known = {array.name for layer in self.store.layers().values() for array in layer.arrays}
        missing = [name for name in names if name not in known]
        if missing:
            raise RequirementError(
                f"{self.store.location} lacks {', '.join(missing)}; run: {command}"
            )
