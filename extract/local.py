"""Extraction on one machine: decode in threads, forward, reduce, write, all at once.

Batches never cross a part and are made of the same rows in the same order whenever a part is
computed, so a part that is computed after an interruption is equal to what it would have been.
"""

import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass

import numpy as np
import torch
from torch import Tensor

from featkd.cache import ArraySpec, CacheStore, ZarrStore, require_match
from featkd.cache.signal import LOGITS_ARRAY, feature_array
from featkd.errors import UsageError
from featkd.experiment.fingerprint import teacher_fingerprint
from featkd.experiment.needs import taps_to_extract
from featkd.experiment.opened_cache import TEACHER_LAYER
from featkd.experiment.teacher import FrozenTeacher
from featkd.experiment.workspace import Workspace, row_table, save_recipe
from featkd.extract.rendering import RenderedRow, RowRenderer
from featkd.models import Teacher
from featkd.types import Progress, Silent, TapSpec

CRC_ARRAY = "view_crc32"
_PARTS_IN_WRITING = 2
_BATCHES_DECODED_AHEAD = 3


@dataclass(frozen=True, slots=True)
class ExtractSummary:
    """What an extraction did.

    Attributes:
        num_rows: rows of the cache.
        num_computed: rows this call computed.
        num_failed: rows without data, of all.
        failed_videos: reason by video.
        seconds: by stage of this call; ``wall`` is the whole of it.
        num_bytes: stored arrays, of all parts.
        num_bytes_raw: what they would take uncompressed.
    """

    num_rows: int
    num_computed: int
    num_failed: int
    failed_videos: dict[str, str]
    seconds: dict[str, float]
    num_bytes: int
    num_bytes_raw: int

    def to_json(self) -> dict[str, object]:
        """As a dictionary of numbers, texts and dictionaries."""
        return asdict(self)


def extract(workspace: Workspace, progress: Progress | None = None) -> ExtractSummary:
    """Fill the workspace's cache; a part that is committed already is not computed again.

    Raises:
        CheckpointError: the teacher is missing or damaged.
        FingerprintError: the cache holds another teacher's features.
        CacheLockedError: another process writes to it.
        StorageFullError: the disk is full; committed parts are safe.
    """
    started = time.perf_counter()
    shown = progress or Silent()
    recipe = workspace.recipe
    frozen = FrozenTeacher(workspace)
    taps = taps_to_extract(recipe)
    teacher = frozen.with_taps(taps)
    clips = workspace.train_clips()
    size = frozen.card.preprocess.size
    renderer = RowRenderer(workspace.rendered(recipe.data.train_split, recipe.views.train, (size,)))
    fingerprint = teacher_fingerprint(workspace, frozen.card, frozen.weights_sha256, taps)
    if (workspace.cache_path / "featkd.json").exists():
        # Without the right to write, so that a finished cache can be asked while others use it.
        with ZarrStore.open(workspace.cache_path) as store:
            if TEACHER_LAYER in store.layers() and _is_complete(store):
                layer = store.layers()[TEACHER_LAYER]
                require_match(layer.fingerprint, fingerprint, cache=store.location)
                return _summarise(store, list(layer.arrays), 0, {}, started)
    with _open(workspace) as store:
        if len(clips) * recipe.views.train.num_views != store.num_rows:
            raise UsageError(
                f"{store.location} has {store.num_rows} rows; expected {len(clips)} clips times "
                f"{recipe.views.train.num_views} views; set another workdir"
            )
        clip_shape = (3, recipe.views.train.num_frames, size, size)
        arrays = _array_specs(teacher, clip_shape, recipe.extract.dtype)
        store.add_layer(TEACHER_LAYER, arrays, fingerprint)
        save_recipe(workspace.cache_path, recipe)
        job = _Extraction(
            store, teacher, renderer, arrays, recipe.extract.batch_size, recipe.loading.num_workers
        )
        num_computed = job.run(shown)
        return _summarise(store, arrays, num_computed, job.seconds, started)


class _Extraction:
    """The running pipeline."""

    def __init__(
        self,
        store: CacheStore,
        teacher: Teacher,
        renderer: RowRenderer,
        arrays: list[ArraySpec],
        batch_size: int,
        num_workers: int,
    ) -> None:
        self.store = store
        self.teacher = teacher
        self.renderer = renderer
        self.arrays = arrays
        self.batch_size = batch_size
        self.num_workers = num_workers
        self.seconds = {"waiting for video": 0.0, "teacher": 0.0, "waiting for disk": 0.0}

    def run(self, progress: Progress) -> int:
        """Compute every part that is missing; returns rows computed."""
        committed = self.store.committed_parts(TEACHER_LAYER)
        missing = [part for part in range(self.store.num_parts) if part not in committed]
        rows_done = sum(len(self.store.part_range(part)) for part in committed)
        writing: deque[Future[None]] = deque()
        with (
            ThreadPoolExecutor(self.num_workers, "featkd-decode") as decoders,
            ThreadPoolExecutor(1, "featkd-write") as writer,
        ):
            try:
                rows = progress.track(
                    self._rendered(missing, decoders),
                    description="extract",
                    total=self.store.num_rows,
                    unit="view",
                    done=rows_done,
                )
                pending: list[RenderedRow] = []
                for rendered in rows:
                    pending.append(rendered)
                    part = rendered.row // self.store.part_rows
                    if rendered.row + 1 < self.store.part_range(part).stop:
                        continue
                    arrays, failures, seconds = self._compute(part, pending)
                    pending = []
                    with _timed(self.seconds, "waiting for disk"):
                        while len(writing) >= _PARTS_IN_WRITING:
                            writing.popleft().result()
                    writing.append(
                        writer.submit(
                            self.store.write_part, TEACHER_LAYER, part, arrays, failures, seconds
                        )
                    )
                with _timed(self.seconds, "waiting for disk"):
                    while writing:
                        writing.popleft().result()
            finally:
                # On Ctrl-C or an error: what is computed is still written, nothing more is begun.
                decoders.shutdown(wait=False, cancel_futures=True)
        return self.store.num_rows - rows_done

    def _rendered(self, parts: list[int], decoders: ThreadPoolExecutor) -> Iterator[RenderedRow]:
        """Rendered rows of the parts in order, decoded a bounded distance ahead."""
        ahead: deque[Future[RenderedRow]] = deque()
        limit = max(self.batch_size * _BATCHES_DECODED_AHEAD, self.num_workers)
        for part in parts:
            for row in self.store.part_range(part):
                ahead.append(decoders.submit(self.renderer, row))
                if len(ahead) >= limit:
                    yield self._wait(ahead.popleft())
        while ahead:
            yield self._wait(ahead.popleft())

    def _wait(self, future: Future[RenderedRow]) -> RenderedRow:
        with _timed(self.seconds, "waiting for video"):
            return future.result()

    def _compute(
        self, part: int, rendered: list[RenderedRow]
    ) -> tuple[dict[str, np.ndarray], dict[int, str], dict[str, float]]:
        """Arrays, failures and seconds of one part."""
        rows = self.store.part_range(part)
        failures = {item.row: item.failure for item in rendered if item.failure is not None}
        arrays = {
            spec.name: np.zeros((len(rows), *spec.shape), dtype=spec.dtype) for spec in self.arrays
        }
        readable = [item for item in rendered if item.pixels is not None]
        seconds = {"teacher": 0.0}
        for start in range(0, len(readable), self.batch_size):
            batch = readable[start : start + self.batch_size]
            with _timed(seconds, "teacher"):
                values = self._forward(batch)
            for position, item in enumerate(batch):
                for name, tensor in values.items():
                    arrays[name][item.row - rows.start] = tensor[position]
                arrays[CRC_ARRAY][item.row - rows.start] = item.crc32
                problem = _not_finite(arrays, item.row - rows.start)
                if problem:
                    failures[item.row] = problem
        self.seconds["teacher"] += seconds["teacher"]
        return arrays, failures, seconds

    def _forward(self, batch: list[RenderedRow]) -> dict[str, np.ndarray]:
        clips = torch.stack([item.pixels for item in batch if item.pixels is not None])
        logits, features = self.teacher(clips)
        named = {feature_array(tap): features[tap.key] for tap in self.teacher.taps}
        return {k: v.cpu().numpy() for k, v in {LOGITS_ARRAY: logits, **named}.items()}


def _not_finite(arrays: dict[str, np.ndarray], position: int) -> str | None:
    for name, values in arrays.items():
        if values.dtype.kind == "f" and not np.isfinite(values[position]).all():
            return (
                f"the teacher's {name} is NaN, infinite or beyond the range of {values.dtype}; "
                "expected finite numbers (extract.dtype float32 has the widest range)"
            )
    return None


def _is_complete(store: CacheStore) -> bool:
    return len(store.committed_parts(TEACHER_LAYER)) == store.num_parts


def _open(workspace: Workspace) -> ZarrStore:
    path = workspace.cache_path
    if (path / "featkd.json").exists():
        return ZarrStore.open_for_writing(path)
    recipe = workspace.recipe
    rows = row_table(
        workspace.train_clips(), recipe.data.train_split, recipe.views.train, recipe.seed
    )
    return ZarrStore.create(path, rows, part_rows=recipe.extract.part_rows)


def _array_specs(
    teacher: Teacher, clip_shape: tuple[int, int, int, int], dtype: str
) -> list[ArraySpec]:
    """Arrays of the teacher's layer; the teacher looks at one black clip to tell their shapes."""
    logits, features = teacher(torch.zeros((1, *clip_shape), dtype=torch.uint8))

    def kind_of(tap: TapSpec) -> str:
        # Squares and deviations leave float16's range long before the maps do, and are small.
        return dtype if tap.reduction in {"full", "pooled"} else "float32"

    def spec(name: str, tensor: Tensor, kind: str) -> ArraySpec:
        return ArraySpec.model_validate(
            {"name": name, "shape": tuple(tensor.shape[1:]), "dtype": kind}
        )

    return [
        spec(LOGITS_ARRAY, logits, "float32"),
        *(spec(feature_array(tap), features[tap.key], kind_of(tap)) for tap in teacher.taps),
        ArraySpec(name=CRC_ARRAY, shape=(), dtype="uint32"),
    ]


def _summarise(
    store: CacheStore,
    arrays: list[ArraySpec],
    num_computed: int,
    seconds: dict[str, float],
    started: float,
) -> ExtractSummary:
    failures = store.failures(TEACHER_LAYER)
    video_ids = store.rows["video_id"].tolist()
    commits = [store.commit(TEACHER_LAYER, p) for p in store.committed_parts(TEACHER_LAYER)]
    return ExtractSummary(
        num_rows=store.num_rows,
        num_computed=num_computed,
        num_failed=len(failures),
        failed_videos={str(video_ids[row]): reason for row, reason in failures.items()},
        seconds={**seconds, "wall": time.perf_counter() - started},
        num_bytes=sum(shard.num_bytes for c in commits for shard in c.shards.values()),
        num_bytes_raw=store.num_rows * sum(spec.row_bytes for spec in arrays),
    )


class _timed:  # noqa: N801 - reads as a verb where it is used
    """Adds the time of a block to an entry of a table."""

    def __init__(self, table: dict[str, float], name: str) -> None:
        self.table, self.name = table, name

    def __enter__(self) -> None:
        self.start = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self.table[self.name] += time.perf_counter() - self.start
