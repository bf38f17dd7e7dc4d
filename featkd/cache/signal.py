"""Teacher signals: rows of a cache, or clips, to what the teacher says about them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from jaxtyping import UInt8
from torch import Tensor, nn

from featkd.cache.store import CacheStore
from featkd.errors import RequirementError
from featkd.types import LinearClassifier, TapSpec, TeacherSignal

LOGITS_ARRAY = "logits"

TRAJECTORY_ARRAY = "trajectory"
"""Logits of each visit to a view, of the training that made the teacher."""


def feature_array(tap: TapSpec) -> str:
    """Name of the array that holds a tap."""
    return f"features/{tap.key}"


def attention_array(layer: str) -> str:
    """Name of the array that holds the teacher's attention at a layer."""
    return f"attention/{layer}"


@dataclass(frozen=True, slots=True)
class SignalRequest:
    """A batch for which a teacher signal is wanted.

    Attributes:
        rows: cache row of each sample.
        teacher_clips: the same views rendered at the teacher's resolution, RGB; only a live
            teacher needs them.
        visit: how often these views were shown before, in earlier epochs.
    """

    rows: tuple[int, ...]
    teacher_clips: UInt8[Tensor, "batch channels time height width"] | None = None
    visit: int = 0


@runtime_checkable
class SignalSource(Protocol):
    """Where training gets its teacher signals from, cached or live."""

    @property
    def needs_clips(self) -> bool:
        """Whether requests must carry ``teacher_clips``."""

    def signal(self, request: SignalRequest) -> TeacherSignal:
        """What the teacher says about a batch."""


class CachedSignal:
    """A `SignalSource` that reads a cache.

    Args:
        store: the cache, open for as long as signals are wanted.
        logits: whether to read the logits.
        trajectory: whether to read the logits of the teacher's own training.
        taps: features to read.
        attention_layers: layers whose attention to read.
        classifier: the teacher's own, to hand on.
        modules: frozen modules to hand on.

    Raises:
        RequirementError: the cache lacks an array; the message says which command adds it.
    """

    needs_clips = False

    def __init__(
        self,
        store: CacheStore,
        *,
        logits: bool,
        trajectory: bool = False,
        taps: Sequence[TapSpec] = (),
        attention_layers: Sequence[str] = (),
        classifier: LinearClassifier | None = None,
        modules: Mapping[str, nn.Module] | None = None,
    ) -> None:
        extracted = [LOGITS_ARRAY] if logits else []
        extracted += [TRAJECTORY_ARRAY] if trajectory else []
        extracted += [feature_array(tap) for tap in taps]
        represented = [attention_array(layer) for layer in attention_layers]
        known = {array.name for layer in store.layers().values() for array in layer.arrays}
        for names, command in ((extracted, "featkd extract"), (represented, "featkd represent")):
            missing = [name for name in names if name not in known]
            if missing:
                raise RequirementError(
                    f"{store.location} lacks {', '.join(missing)}; run: {command}"
                )
        self.store = store
        self.logits = logits
        self.trajectory = trajectory
        self.taps = tuple(taps)
        self.attention_layers = tuple(attention_layers)
        self.classifier = classifier
        self.modules = dict(modules or {})

    def signal(self, request: SignalRequest) -> TeacherSignal:
        """Read the rows of a batch, as float32 on the CPU.

        Raises:
            CacheError: a row failed at extraction or is damaged.
            CacheIncompleteError: a row is not committed yet.
        """
        return TeacherSignal(
            logits=self._read(LOGITS_ARRAY, request) if self.logits else None,
            trajectory=self._read_visit(request) if self.trajectory else None,
            features={tap.key: self._read(feature_array(tap), request) for tap in self.taps},
            attention={
                layer: self._read(attention_array(layer), request)
                for layer in self.attention_layers
            },
            classifier=self.classifier,
            modules=self.modules,
        )

    def _read_visit(self, request: SignalRequest) -> Tensor:
        visits = self._read(TRAJECTORY_ARRAY, request)
        return visits[:, min(request.visit, visits.shape[1] - 1)]

    def _read(self, array_name: str, request: SignalRequest) -> Tensor:
        return self.store.read_rows(array_name, request.rows).float()
