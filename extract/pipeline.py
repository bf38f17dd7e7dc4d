"""The extraction pipeline: decode, forward, reduce and write at the same time, in bounded memory.

Batches never cross a part and are made of the same rows in the same order whenever a part is
computed, so a part that is computed after an interruption is equal to what it would have been.
"""

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import cycle

import numpy as np
import torch

from featkd.cache import INTEGER_DTYPES, ArraySpec, CacheStore
from featkd.cache.number_format import representable
from featkd.errors import UsageError
from featkd.experiment.arrays import FRAMES_CRC_ARRAY, VIEW_CRC_ARRAY
from featkd.experiment.frames_check import require_same_frames
from featkd.extract.job import LayerJob
from featkd.extract.rendering import RenderedRow
from featkd.models import BaseTeacher
from featkd.recipes.extract_section import FramesSpec
from featkd.types import Progress
from featkd.video import crc32_of, encode_frames

_PARTS_IN_WRITING = 2
_BATCHES_DECODED_AHEAD = 3

Answers = dict[str, np.ndarray]
"""By array name, one entry for each row of a batch."""


@dataclass
class _Part:
    """A part on its way: filled batch by batch, then written."""

    index: int
    rows: range
    arrays: dict[str, np.ndarray]
    failures: dict[int, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=lambda: {"teacher": 0.0})


@dataclass(frozen=True)
class _Batch:
    """Rows on their way through a teacher; the last ones of their part complete it."""

    part: _Part
    rows: list[RenderedRow]
    answers: Future[tuple[Answers, float]] | None
    is_last: bool


class Pipeline:
    """Fills one layer of a cache.

    Args:
        store: open for writing; has the layer.
        job: the layer.
        teachers: one for each device; they share the batches.
        render: pixels of a row.
        frames: how rendered views are kept, where the job keeps them.
        batch_size: rows the teacher sees at once.
        num_workers: decoding threads.

    Attributes:
        seconds: by stage; ``waiting for ...`` is what the stages beside it cost in wall time.
    """

    def __init__(
        self,
        store: CacheStore,
        job: LayerJob,
        teachers: Sequence[BaseTeacher],
        render: Callable[[int], RenderedRow],
        *,
        frames: FramesSpec | None,
        batch_size: int,
        num_workers: int,
    ) -> None:
        self.store = store
        self.job = job
        self.teachers = tuple(teachers)
        self.render = render
        self.frames = frames
        self.batch_size = batch_size
        self.num_workers = num_workers
        self.size = teachers[0].preprocess_spec.size
        self.seconds = {
            "decode": 0.0,
            "teacher": 0.0,
            "write": 0.0,
            "waiting for video": 0.0,
            "waiting for teacher": 0.0,
            "waiting for disk": 0.0,
        }

    def run(self, progress: Progress) -> int:
        """Compute every part that is missing; returns rows computed.

        Raises:
            FingerprintError: a video gives other frames than when the first layer was written.
            StorageFullError: the disk is full; committed parts are safe.
        """
        committed = self.store.committed_parts(self.job.name)
        missing = [part for part in range(self.store.num_parts) if part not in committed]
        rows_done = sum(len(self.store.part_range(part)) for part in committed)
        with (
            ThreadPoolExecutor(self.num_workers, "featkd-decode") as decoders,
            _Forwards(self.teachers) as forwards,
            ThreadPoolExecutor(1, "featkd-write") as writer,
        ):
            try:
                self._run(missing, rows_done, decoders, forwards, writer, progress)
            finally:
                # On Ctrl-C or an error: what is computed is still written, nothing more is begun.
                decoders.shutdown(wait=False, cancel_futures=True)
        return self.store.num_rows - rows_done

    def _run(
        self,
        missing: Sequence[int],
        rows_done: int,
        decoders: ThreadPoolExecutor,
        forwards: "_Forwards",
        writer: ThreadPoolExecutor,
        progress: Progress,
    ) -> None:
        rows = progress.track(
            self._rendered(missing, decoders),
            description="extract" if self.job.is_first else f"extract {self.job.name}",
            total=self.store.num_rows,
            unit="view",
            done=rows_done,
        )
        writing: deque[Future[None]] = deque()
        computing: deque[_Batch] = deque()
        part = self._begin(missing[0]) if missing else None
        batch: list[RenderedRow] = []

        for rendered in rows:
            if part is None or rendered.row not in part.rows:
                part = self._begin(self.store.layout.part_of(rendered.row))
            if rendered.failure is None:
                self._check_frames(rendered)
                batch.append(rendered)
            else:
                part.failures[rendered.row] = rendered.failure
            is_last = rendered.row + 1 == part.rows.stop
            if is_last or len(batch) == self.batch_size:
                answers = forwards.submit(self._answer, batch) if batch else None
                computing.append(_Batch(part, batch, answers, is_last=is_last))
                batch = []
                # One more than there are teachers, so that none of them ever waits for its rows.
                self._finish(computing, writing, writer, limit=len(self.teachers))
        self._finish(computing, writing, writer, limit=0)
        with _timed(self.seconds, "waiting for disk"):
            while writing:
                writing.popleft().result()

    def _finish(
        self,
        computing: deque[_Batch],
        writing: deque[Future[None]],
        writer: ThreadPoolExecutor,
        *,
        limit: int,
    ) -> None:
        """Fill and write what the teachers have answered, until no more than some are at work."""
        while len(computing) > limit:
            done = computing.popleft()
            if done.answers is not None:
                with _timed(self.seconds, "waiting for teacher"):
                    answers, seconds = done.answers.result()
                done.part.seconds["teacher"] += seconds
                self._fill(done.part, done.rows, answers)
            if done.is_last:
                with _timed(self.seconds, "waiting for disk"):
                    while len(writing) >= _PARTS_IN_WRITING:
                        writing.popleft().result()
                writing.append(writer.submit(self._write, done.part))

    def _rendered(
        self, parts: Sequence[int], decoders: ThreadPoolExecutor
    ) -> Iterator[RenderedRow]:
        """Rendered rows of the parts in order, decoded a bounded distance ahead."""
        ahead: deque[Future[tuple[RenderedRow, float]]] = deque()
        limit = max(self.batch_size * _BATCHES_DECODED_AHEAD * len(self.teachers), self.num_workers)
        for part in parts:
            for row in self.store.part_range(part):
                ahead.append(decoders.submit(self._timed_render, row))
                if len(ahead) >= limit:
                    yield self._wait(ahead.popleft())
        while ahead:
            yield self._wait(ahead.popleft())

    def _timed_render(self, row: int) -> tuple[RenderedRow, float]:
        started = time.thread_time()
        return self.render(row), time.thread_time() - started

    def _wait(self, future: Future[tuple[RenderedRow, float]]) -> RenderedRow:
        with _timed(self.seconds, "waiting for video"):
            rendered, seconds = future.result()
        self.seconds["decode"] += seconds
        return rendered

    def _begin(self, index: int) -> _Part:
        rows = self.store.part_range(index)
        arrays = {
            spec.name: np.zeros((len(rows), *spec.shape), dtype=_kept_dtype(spec))
            for spec in self.job.arrays
        }
        return _Part(index, rows, arrays)

    def _check_frames(self, rendered: RenderedRow) -> None:
        """A later layer must be made of the very frames that the first one was made of."""
        if not self.job.is_first:
            require_same_frames(
                self.store,
                rendered.row,
                rendered.frames_crc32,
                view=f"video {rendered.video_id!r}",
                file="its file",
            )

    def _answer(self, teacher: BaseTeacher, batch: Sequence[RenderedRow]) -> tuple[Answers, float]:
        """What the teacher says of a batch, and the seconds it took."""
        started = time.perf_counter()
        answers: Answers = {}
        if self.job.needs_teacher:
            clips = torch.stack([item.pixels[self.size] for item in batch])
            if teacher.device.type == "cuda":
                clips = clips.pin_memory()
            answers = {
                name: value.cpu().numpy()
                for name, value in teacher.answers(clips).items()
                if name in self.job.array_names
            }
        if VIEW_CRC_ARRAY in self.job.array_names:
            checksums = [crc32_of(item.pixels[self.size]) for item in batch]
            answers[VIEW_CRC_ARRAY] = np.array(checksums, dtype=np.uint32)
        return answers, time.perf_counter() - started

    def _fill(self, part: _Part, batch: Sequence[RenderedRow], answers: Answers) -> None:
        positions = [item.row - part.rows.start for item in batch]
        for name, values in answers.items():
            part.arrays[name][positions] = values
        if FRAMES_CRC_ARRAY in part.arrays:
            part.arrays[FRAMES_CRC_ARRAY][positions] = [item.frames_crc32 for item in batch]
        self._keep_frames(part, batch)
        for spec in self.job.arrays:
            if part.arrays[spec.name].dtype.kind != "f":
                continue
            fine = representable(spec, part.arrays[spec.name][positions])
            for item, is_fine in zip(batch, fine, strict=True):
                if not is_fine:
                    part.failures.setdefault(
                        item.row,
                        f"the teacher's {spec.name} of {item.video_id!r} is NaN, infinite or "
                        f"beyond the range of {spec.dtype}; expected finite numbers "
                        "(extract.dtype float32 has the widest range)",
                    )

    def _keep_frames(self, part: _Part, batch: Sequence[RenderedRow]) -> None:
        name = next((name for name in part.arrays if name.startswith("frames/")), None)
        if name is None or self.frames is None:
            return
        kept = part.arrays[name]
        for item in batch:
            pixels = item.pixels[self.frames.size]
            position = item.row - part.rows.start
            if self.frames.image == "lossless":
                kept[position] = pixels.numpy()
                continue
            try:
                kept[position] = encode_frames(
                    pixels, quality=self.frames.quality, capacity_bytes=kept.shape[1]
                )
            except UsageError as error:
                part.failures[item.row] = str(error)

    def _write(self, part: _Part) -> None:
        started = time.perf_counter()
        self.store.write_part(self.job.name, part.index, part.arrays, part.failures, part.seconds)
        self.seconds["write"] += time.perf_counter() - started
        self.seconds["teacher"] += part.seconds["teacher"]


class _Forwards:
    """One thread for each teacher; batches go round."""

    def __init__(self, teachers: Sequence[BaseTeacher]) -> None:
        self._threads = [
            (teacher, ThreadPoolExecutor(1, f"featkd-teacher-{number}"))
            for number, teacher in enumerate(teachers)
        ]
        self._turns = cycle(self._threads)

    def submit(
        self,
        work: Callable[[BaseTeacher, Sequence[RenderedRow]], tuple[Answers, float]],
        batch: Sequence[RenderedRow],
    ) -> Future[tuple[Answers, float]]:
        teacher, thread = next(self._turns)
        return thread.submit(work, teacher, batch)

    def __enter__(self) -> "_Forwards":  # noqa: PYI034 - beartype knows no Self here
        return self

    def __exit__(self, *_: object) -> None:
        for _teacher, thread in self._threads:
            thread.shutdown(cancel_futures=True)


def _kept_dtype(spec: ArraySpec) -> str:
    """What a part is collected in: floats as the teacher says them, until they are encoded."""
    return spec.dtype if spec.dtype in INTEGER_DTYPES else "float32"


class _timed:  # noqa: N801 - reads as a verb where it is used
    """Adds the time of a block to an entry of a table."""

    def __init__(self, table: dict[str, float], name: str) -> None:
        self.table, self.name = table, name

    def __enter__(self) -> None:
        self.start = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self.table[self.name] += time.perf_counter() - self.start
