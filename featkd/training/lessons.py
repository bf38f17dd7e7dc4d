"""Lessons: batches of views with what the teacher says about them, for every network alike."""

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Generic, Protocol, TypeVar, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from featkd.cache.signal import SignalRequest
from featkd.models import PreprocessSpec, preprocess
from featkd.training.prefetch import prefetched
from featkd.training.views import Batch, RenderedViews, epoch_pairs

_SIGNALS_AHEAD = 2

_SelfT = TypeVar("_SelfT")


@runtime_checkable
class Signal(Protocol):
    """What a teacher says about a batch, for whatever task."""

    def to(self: _SelfT, device: torch.device) -> _SelfT:  # noqa: PYI019 - beartype lacks it
        """The same with its tensors on a device."""


SignalT = TypeVar("SignalT", bound=Signal)
_SignalT_co = TypeVar("_SignalT_co", bound=Signal, covariant=True)


@runtime_checkable
class LessonSource(Protocol[_SignalT_co]):
    """A `featkd.cache.signal.SignalSource` of any kind of signal."""

    @property
    def needs_clips(self) -> bool:
        """Whether requests must carry ``teacher_clips``."""

    def signal(self, request: SignalRequest) -> _SignalT_co:
        """What the teacher says about a batch."""


@dataclass(frozen=True, slots=True)
class Lesson(Generic[SignalT]):
    """A batch and what the teacher says about it, still where its source put it.

    Several networks may learn from one lesson: what they need of it is made once. Nobody may write
    into its tensors.
    """

    batch: Batch
    signal: SignalT
    _clips: dict[tuple[PreprocessSpec, torch.device], Tensor] = field(
        default_factory=dict, init=False, repr=False
    )
    _signals: dict[torch.device, SignalT] = field(default_factory=dict, init=False, repr=False)

    def clips(
        self, spec: PreprocessSpec, device: torch.device
    ) -> Float[Tensor, "batch channels time height width"]:
        """The clips as a network takes them, on its device."""
        key = spec, device
        if key not in self._clips:
            self._clips[key] = preprocess(self.batch.clips[spec.size], spec, device)
        return self._clips[key]

    def signal_on(self, device: torch.device) -> SignalT:
        """The signal with its tensors on a device."""
        if device not in self._signals:
            self._signals[device] = self.signal.to(device)
        return self._signals[device]


class Lessons(Generic[SignalT]):
    """The lessons of a training, epoch by epoch.

    Args:
        views: rendered at the size of every network, and at the teacher's where the source needs
            it.
        source: what the teacher says; may be empty for a distiller that needs nothing.
        samples: positions in ``views.clips`` to train on.
        row_of: cache row of (sample, view index).
        batch_size: clips a lesson; an incomplete last one is left out.
        teacher_size: pixels of the teacher's input; used where the source needs clips.
        seed: of the order.
    """

    def __init__(
        self,
        *,
        views: RenderedViews,
        source: LessonSource[SignalT],
        samples: Sequence[int],
        row_of: Callable[[int, int], int],
        batch_size: int,
        teacher_size: int,
        seed: int,
    ) -> None:
        self.views = views
        self.source = source
        self.samples = tuple(samples)
        self.row_of = row_of
        self.batch_size = batch_size
        self.teacher_size = teacher_size
        self.seed = seed

    def __len__(self) -> int:
        """Lessons an epoch."""
        return len(self.samples) // self.batch_size

    def of_epoch(self, epoch: int) -> Generator[Lesson[SignalT], None, None]:
        """The lessons of an epoch, counted from 1.

        Signals that are only read come from a thread of their own, ahead of need; a teacher in the
        loop answers when its batch is due, since it needs the processor that the network needs.

        Raises:
            VideoError: a video cannot be decoded.
            CacheError: the source cannot serve a row, or the views refuse one.
        """
        pairs = epoch_pairs(
            self.samples, num_views=self.views.spec.num_views, epoch=epoch, seed=self.seed
        )
        batches = self.views.batches(pairs, batch_size=self.batch_size, drop_last=True)
        ask = partial(self._ask, visit=(epoch - 1) // self.views.spec.num_views)
        if self.source.needs_clips:
            return (Lesson(batch, ask(batch)) for batch in batches)
        ahead = prefetched(batches, ask, depth=_SIGNALS_AHEAD)
        return (Lesson(batch, signal) for batch, signal in ahead)

    def example(self) -> Lesson[SignalT]:
        """A lesson of one clip, to look at shapes; raises as `of_epoch`."""
        (batch,) = self.views.batches([(self.samples[0], 0)], batch_size=1, drop_last=False)
        return Lesson(batch, self._ask(batch, visit=0))

    def _ask(self, batch: Batch, *, visit: int) -> SignalT:
        return self.source.signal(
            SignalRequest(
                rows=tuple(map(self.row_of, batch.samples, batch.view_indices)),
                teacher_clips=batch.clips[self.teacher_size] if self.source.needs_clips else None,
                visit=visit,
            )
        )
