"""Rendered views for training: decoded ahead of need by threads, kept in memory while it lasts."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from threading import Lock
from typing import Annotated

import torch
from jaxtyping import Int, UInt8
from pydantic import Field
from torch import Tensor

from featkd.errors import UsageError
from featkd.types import Clip, Spec
from featkd.video import FrameReader, Rendered, Views, render_clip

_BATCHES_AHEAD = 3


class LoadingSpec(Spec):
    """How views reach the network."""

    num_workers: Annotated[int, Field(ge=1, le=256)] = 2
    """Decoding threads."""
    memory_gib: Annotated[float, Field(ge=0)] = 1.0
    """Rendered views kept in memory so that later epochs do not decode them again."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Rendered views of one step.

    Attributes:
        samples: position of each clip in the list the views were made from.
        view_indices: which view of each clip.
        labels: (B,).
        clips: by size in pixels, (B, C, T, size, size).
    """

    samples: tuple[int, ...]
    view_indices: tuple[int, ...]
    labels: Int[Tensor, " batch"]
    clips: dict[int, UInt8[Tensor, "batch channels time height width"]]


FrameCheck = Callable[[int, int, int], None]
"""Called with sample, view index and CRC32 of the decoded frames; raises where they are wrong."""

FrameSource = Callable[[int, int], UInt8[Tensor, "channels time height width"] | None]
"""Gives the pixels of (sample, view index) where it has them."""


@dataclass(frozen=True, slots=True)
class _Decoded:
    rendered: Rendered
    passed: FrameCheck | None


class RenderedViews:
    """Renders (clip, view) pairs at fixed sizes.

    Args:
        clips: what exists.
        spec: how views are drawn.
        seed: of the drawing.
        sizes: pixels of each rendering; all come from one decoding.
        loading: threads and memory.
        read: where frames come from; default: the colours of the videos.

    Attributes:
        check: sees the frames of every view that was decoded before its pixels are given out. A
            view kept in memory is shown to a check once. None: nobody checks.
        frames: views rendered before, as a cache keeps them; asked instead of the video where only
            one size is wanted. It must give a view's pixels at that size, always the same. None:
            every view is decoded.
    """

    def __init__(
        self,
        clips: Sequence[Clip],
        spec: Views,
        *,
        seed: int,
        sizes: Sequence[int],
        loading: LoadingSpec,
        read: FrameReader | None = None,
    ) -> None:
        if not clips:
            raise UsageError("there are no clips to render; expected at least one")
        self.clips = clips
        self.spec = spec
        self.seed = seed
        self.sizes = tuple(dict.fromkeys(sizes))
        self.loading = loading
        self.read = read
        self.check: FrameCheck | None = None
        self.frames: FrameSource | None = None
        self._decoded: dict[tuple[int, int], _Decoded] = {}
        self._given: dict[tuple[int, int], Tensor] = {}
        self._free_bytes = int(loading.memory_gib * 2**30)
        self._lock = Lock()

    def render(self, sample: int, view_index: int) -> list[Tensor]:
        """Every size of one view, (C, T, size, size) each.

        Raises:
            VideoError: the file cannot be decoded.
            CacheError: `check` refuses the frames, or `frames` cannot read its own.
        """
        # A view that `frames` has is never taken from its video, not even from memory: pixels that
        # were stored with loss are others, and a run must not depend on what was decoded before.
        if self.frames is not None and len(self.sizes) == 1:
            pixels = self._give(self.frames, (sample, view_index))
            if pixels is not None:
                return [pixels]
        return self._decode((sample, view_index)).pixels

    def _give(self, frames: FrameSource, key: tuple[int, int]) -> Tensor | None:
        if key in self._given:
            return self._given[key]
        pixels = frames(*key)
        if pixels is not None:
            with self._lock:
                if key not in self._given and self._reserve([pixels]):
                    self._given[key] = pixels
        return pixels

    def _decode(self, key: tuple[int, int]) -> Rendered:
        known, check = self._decoded.get(key), self.check
        if known is not None and known.passed is check:
            return known.rendered
        rendered = self._render_from_file(*key) if known is None else known.rendered
        if check is not None:
            check(*key, rendered.frames_crc32)
        with self._lock:
            if key in self._decoded or self._reserve(rendered.pixels):
                self._decoded[key] = _Decoded(rendered, check)
        return rendered

    def _render_from_file(self, sample: int, view_index: int) -> Rendered:
        clip = self.clips[sample]
        view = self.spec.draw(seed=self.seed, clip=clip, view_index=view_index)
        return render_clip(clip, view, self.sizes, self.read)

    def _reserve(self, tensors: Sequence[Tensor]) -> bool:
        """Take memory for tensors out of the budget, if they fit."""
        num_bytes = sum(tensor.nbytes for tensor in tensors)
        if num_bytes > self._free_bytes:
            return False
        self._free_bytes -= num_bytes
        return True

    def batches(
        self, pairs: Sequence[tuple[int, int]], *, batch_size: int, drop_last: bool
    ) -> Iterator[Batch]:
        """Batches of (sample, view index) pairs in the order given, rendered ahead by threads.

        Raises:
            VideoError: the file of one of them cannot be decoded.
            CacheError: as `render`.
        """
        stop = len(pairs) - len(pairs) % batch_size if drop_last else len(pairs)
        waiting: deque[tuple[Sequence[tuple[int, int]], list[Future[list[Tensor]]]]] = deque()
        with ThreadPoolExecutor(self.loading.num_workers, "featkd-render") as pool:
            try:
                for start in range(0, stop, batch_size):
                    chosen = pairs[start : start + batch_size]
                    waiting.append((chosen, [pool.submit(self.render, *pair) for pair in chosen]))
                    if len(waiting) > _BATCHES_AHEAD:
                        yield self._assemble(*waiting.popleft())
                while waiting:
                    yield self._assemble(*waiting.popleft())
            finally:
                pool.shutdown(wait=False, cancel_futures=True)

    def _assemble(
        self, pairs: Sequence[tuple[int, int]], futures: Sequence[Future[list[Tensor]]]
    ) -> Batch:
        rendered = [future.result() for future in futures]
        samples = tuple(sample for sample, _ in pairs)
        return Batch(
            samples=samples,
            view_indices=tuple(view for _, view in pairs),
            labels=torch.tensor([self.clips[sample].label for sample in samples]),
            clips={
                size: torch.stack([sizes[position] for sizes in rendered])
                for position, size in enumerate(self.sizes)
            },
        )


def epoch_pairs(
    samples: Sequence[int], *, num_views: int, epoch: int, seed: int
) -> list[tuple[int, int]]:
    """The (sample, view) pairs of one training epoch, shuffled by (seed, epoch) alone.

    Epoch e, counted from 1, uses view (e - 1) mod ``num_views`` of every sample.
    """
    generator = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
    order = torch.randperm(len(samples), generator=generator).tolist()
    view_index = (epoch - 1) % num_views
    return [(samples[position], view_index) for position in order]
