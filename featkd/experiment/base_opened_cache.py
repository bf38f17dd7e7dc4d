"""A recipe's cache, opened and checked against the recipe, whatever its task."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Generic

import numpy as np
from jaxtyping import UInt8
from torch import Tensor

from featkd.cache import CacheStore, Fingerprint, Mismatch, refuse_mismatches
from featkd.distillers import Requirements
from featkd.errors import CacheError, CacheIncompleteError
from featkd.experiment.arrays import (
    FRAMES_CRC_ARRAY,
    REPRESENTATION_LAYER,
    frames_array,
    is_teacher_layer,
)
from featkd.experiment.base_frozen_teacher import BaseFrozenTeacher
from featkd.experiment.cache_check import CacheCheck
from featkd.experiment.frames_check import require_same_frames
from featkd.experiment.row_index import ABSENT, RowIndex
from featkd.experiment.workspace import BaseWorkspace
from featkd.training import FrameCheck, FrameSource, LessonSource, RenderedViews
from featkd.training.cached_maps import CachedMaps
from featkd.training.lessons import SignalT
from featkd.video import decode_frames


class BaseOpenedCache(ABC, Generic[SignalT]):
    """A cache that was made from what the recipe says, as far as some needs go.

    Args:
        workspace: the recipe.
        store: its cache, open.
        teacher: its teacher.
        needs: what is going to be read.
        allowed: fields of the fingerprint that may differ.
        committed_only: use what is committed by now, instead of insisting on a complete cache.

    Attributes:
        store: the cache.
        fingerprint: what is read was made from; number formats included.
        samples: positions of the clips of which every view can be read.
        failures: reason by row that has no data.
        exceptions: fields that differ and were allowed to.

    Raises:
        CacheError: missing or damaged.
        FingerprintError: made by another teacher, recipe or manifest.
        CacheIncompleteError: extraction has not finished.
        UsageError: an allowed field does not exist or cannot be honoured.
    """

    def __init__(
        self,
        workspace: BaseWorkspace,
        store: CacheStore,
        teacher: BaseFrozenTeacher,
        needs: Requirements,
        *,
        allowed: Collection[str] = (),
        committed_only: bool = False,
    ) -> None:
        self.store = store
        self.num_views = workspace.recipe.views.train.num_views
        self._workspace = workspace
        self._needs = needs
        self._allowed = frozenset(allowed)
        self._index = RowIndex(store, workspace.train_clips().video_ids())
        cached = [layer for name, layer in store.layers().items() if is_teacher_layer(name)]
        if not cached:
            raise CacheIncompleteError(f"{store.location} holds no features; run: featkd extract")
        check = CacheCheck(workspace, store, teacher.fingerprint, needs)
        check.require_allowable(allowed)
        mismatches = check.mismatches(self._index)
        refuse_mismatches(
            [item for item in mismatches if item.field not in self._allowed], cache=store.location
        )
        if FRAMES_CRC_ARRAY in self._allowed:  # row by row; whether one differs shows in training
            mismatches.append(Mismatch(FRAMES_CRC_ARRAY, "of every row", "not compared"))
        self.exceptions = tuple(mismatches)
        self.fingerprint: Fingerprint = {
            **cached[0].fingerprint,
            **{f"codec.{name}": check.held[name].dtype for name in check.arrays()},
        }
        self.failures: dict[int, str] = {}
        self.samples = self._readable_samples(check.arrays(), committed_only=committed_only)

    @abstractmethod
    def signal(self) -> LessonSource[SignalT]:
        """A source of what is needed.

        Raises:
            RequirementError: the cache lacks something; the message says which command adds it.
        """

    def row_of(self, sample: int, view_index: int) -> int:
        """Cache row of a view."""
        return self._index.row_of(sample, view_index)

    def check_frames(self, sample: int, view_index: int, frames_crc32: int) -> None:
        """Check that a view was cut out of the very frames that the teacher saw.

        Raises:
            FingerprintError: the decoder or the file gives other frames.
        """
        if FRAMES_CRC_ARRAY in self._allowed:
            return
        clip = self._workspace.train_clips()[sample]
        require_same_frames(
            self.store,
            self.row_of(sample, view_index),
            frames_crc32,
            view=f"video {clip.video_id!r}, view {view_index}",
            file=str(clip.path),
        )

    def frames(self, size: int) -> FrameSource | None:
        """A reader of cached rendered views, where the recipe keeps them at this size."""
        spec = self._workspace.recipe.extract.frames
        if spec is None or spec.size != size:
            return None
        name = frames_array(size, spec.image)
        recipe = self._workspace.recipe
        num_channels = recipe.student.preprocess.num_channels
        shape = (num_channels, recipe.views.train.num_frames, size, size)

        def read(sample: int, view_index: int) -> UInt8[Tensor, "channels time height width"]:
            row = self.row_of(sample, view_index)
            (stored,) = self.store.read_rows(name, [row])
            try:
                return stored if spec.image == "lossless" else decode_frames(stored, shape)
            except ValueError as error:
                raise CacheError(
                    f"row {row} of array {name!r} in {self.store.location} is damaged: {error}"
                ) from error

        return read

    def maps(self, layers: Sequence[str], *, batch_size: int, seed: int) -> CachedMaps:
        """The teacher's full maps of some layers, to be learned from; see `CachedMaps`."""
        return CachedMaps(
            store=self.store,
            layers=layers,
            samples=self.samples,
            row_of=self.row_of,
            num_views=self.num_views,
            batch_size=batch_size,
            seed=seed,
        )

    @contextmanager
    def serve(
        self, views: RenderedViews, frames_size: int | None, check: FrameCheck | None = None
    ) -> Iterator[RenderedViews]:
        """Let views be checked against the cache, or taken out of it, until the block ends.

        Args:
            views: of the training samples; others may share them afterwards.
            frames_size: pixels of cached views to take instead of decoding; None decodes.
            check: `check_frames` of a cache at the same place, whose earlier verdicts hold.
        """
        views.check = check or self.check_frames
        views.frames = None if frames_size is None else self.frames(frames_size)
        try:
            yield views
        finally:
            views.check = views.frames = None

    def _readable_samples(self, arrays: Collection[str], *, committed_only: bool) -> list[int]:
        """Clips of which every view is committed and not failed in every layer that is read."""
        store = self.store
        readable = np.ones(store.layout.capacity, dtype=bool)
        for layer in self._layers_read(arrays):
            committed = store.committed_parts(layer)
            missing = [part for part in range(store.num_parts) if part not in committed]
            if missing and not committed_only:
                command = "represent" if layer == REPRESENTATION_LAYER else "extract"
                raise CacheIncompleteError(
                    f"{store.location} lacks {len(missing)} of {store.num_parts} parts of layer "
                    f"{layer!r}; run the command that writes it again, and it goes on where it "
                    f"stopped: featkd {command}; or train on what is there: "
                    "featkd distill --committed-only"
                )
            for part in missing:
                span = store.part_range(part)
                readable[span.start : span.stop] = False
            self.failures |= store.failures(layer)
        readable[list(self.failures)] = False
        rows = self._index.rows[:, : self.num_views]
        complete = ((rows != ABSENT) & readable[rows]).all(axis=1)
        return [int(sample) for sample in np.flatnonzero(complete)]

    def _layers_read(self, arrays: Collection[str]) -> list[str]:
        """Layers that hold what is read; the first of them has the frames' CRC."""
        read = {*arrays, FRAMES_CRC_ARRAY}
        frames = self._workspace.recipe.extract.frames
        if frames is not None:
            read.add(frames_array(frames.size, frames.image))
        layers = self.store.layers().items()
        return [name for name, layer in layers if read & {array.name for array in layer.arrays}]
