"""Replay: random rows of a cache are rendered and answered again, and must come out the same."""

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Final

import numpy as np
import torch
from torch import Tensor

from featkd.cache import INTEGER_DTYPES, ArraySpec, CacheStore, FolderStore
from featkd.cache.number_format import decode, encode
from featkd.errors import CacheIncompleteError
from featkd.experiment.arrays import FRAMES_CRC_ARRAY, VIEW_CRC_ARRAY, is_teacher_layer
from featkd.experiment.open_teacher import open_teacher
from featkd.experiment.open_workspace import AnyWorkspace
from featkd.experiment.row_index import RowIndex
from featkd.extract.job import held_taps
from featkd.extract.local import require_same_teacher
from featkd.extract.rendering import RenderedRow, RowRenderer
from featkd.types import Progress, Silent
from featkd.video import crc32_of, decode_frames

RELATIVE_L2_TOLERANCE: Final = {
    "float64": 1e-4,
    "float32": 1e-4,
    "float16": 2e-3,
    "bfloat16": 1.6e-2,
    "scaled_uint8": 1.6e-2,
    "float8_e4m3": 0.13,
    "float8_e5m2": 0.25,
}
"""Per number format, how far an answer may be from the stored one, by the norm of their difference
over the norm of the stored one. The machine that filled the cache gives the very same numbers;
another adds in another order, by which a value may be rounded to the neighbour of the stored one:
this is about the distance of neighbours. For float32 it is what the order of additions makes."""

_JPEG_TOLERANCE: Final = 0.2


@dataclass(frozen=True, slots=True)
class Difference:
    """A row that does not come out as it is stored.

    Attributes:
        row: in the cache.
        video_id: of its clip.
        problem: what is different, with both values.
    """

    row: int
    video_id: str
    problem: str


@dataclass(frozen=True, slots=True)
class Replay:
    """What a replay found.

    Attributes:
        num_rows: rows that were replayed.
        different: what does not come out as stored, row by row; nothing where the cache is sound.
        worst_relative_l2: by array of floats, the largest relative L2 distance of a row.
        num_exact: by array, rows that came out equal in every bit.
    """

    num_rows: int
    different: tuple[Difference, ...]
    worst_relative_l2: dict[str, float]
    num_exact: dict[str, int]


def replay(
    workspace: AnyWorkspace, *, num_rows: int, seed: int = 0, progress: Progress | None = None
) -> Replay:
    """Render random rows of a cache again, ask the teacher again, and compare.

    What the teacher says passes through the same number format as what is stored. The cache may be
    incomplete: only rows that have data are drawn.

    Args:
        workspace: recipe, teacher and cache.
        num_rows: how many rows to draw; all where there are fewer.
        seed: of the draw.
        progress: shows the work.

    Raises:
        CacheError: the cache is missing or damaged.
        CacheIncompleteError: no row of it has data.
        FingerprintError: it was made by another teacher, recipe or manifest.
    """
    recipe, clips = workspace.recipe, workspace.train_clips()
    frozen = open_teacher(workspace)
    with FolderStore.open(workspace.cache_path) as store:
        require_same_teacher(store, frozen.fingerprint)
        readable = _readable_rows(store)
        chosen = _draw(store, readable, num_rows, seed)
        names = [spec.name for spec, _ in readable]
        teacher = frozen.with_taps(held_taps(store))
        size = frozen.card.preprocess.size
        renderer = RowRenderer(
            clips,
            recipe.views.train,
            seed=recipe.seed,
            index=RowIndex(store, clips.video_ids()),
            sizes=[size, *(_frame_size(name) for name in names if name.startswith("frames/"))],
            read=workspace.frame_reader(frozen.card.preprocess.modality),
        )
        comparison = _Comparison(store, precision=recipe.extract.precision)
        with ThreadPoolExecutor(recipe.loading.num_workers, "featkd-decode") as decoders:
            shown = (progress or Silent()).track(
                chosen, description="replay", total=len(chosen), unit="view"
            )
            waiting = iter(shown)
            while rows := list(islice(waiting, teacher.batch_size)):
                rendered = [r for r in decoders.map(renderer, rows) if comparison.renders(r)]
                if not rendered:
                    continue
                said = teacher.answers(torch.stack([r.pixels[size] for r in rendered]))
                answers = {name: value.cpu() for name, value in said.items()}
                answers[VIEW_CRC_ARRAY] = torch.tensor([crc32_of(r.pixels[size]) for r in rendered])
                answers[FRAMES_CRC_ARRAY] = torch.tensor([r.frames_crc32 for r in rendered])
                for spec, rows_of_array in readable:
                    there = [i for i, r in enumerate(rendered) if r.row in rows_of_array]
                    if there and spec.name.startswith("frames/"):
                        comparison.pixels(spec, [rendered[i] for i in there])
                    elif there:
                        values = answers[spec.name][there]
                        comparison.values(spec, [rendered[i] for i in there], values)
        return comparison.result(len(chosen))


class _Comparison:
    """What is stored against what came out again, collected over batches."""

    def __init__(self, store: CacheStore, *, precision: str) -> None:
        self._store = store
        self._precision = precision
        self._different: list[Difference] = []
        self._worst: dict[str, float] = {}
        self._num_exact: dict[str, int] = {}

    def renders(self, rendered: RenderedRow) -> bool:
        if rendered.failure is not None:
            self._note(rendered, f"has data, but does not render any more: {rendered.failure}")
        return rendered.failure is None

    def values(self, spec: ArraySpec, rendered: Sequence[RenderedRow], values: Tensor) -> None:
        """Compare answers (rows, *shape), in full precision, with an array."""
        stored = self._store.read_rows(spec.name, [item.row for item in rendered])
        if spec.dtype in INTEGER_DTYPES:
            pairs = zip(rendered, stored.tolist(), values.tolist(), strict=True)
            for item, cached, found in pairs:
                self._count(spec, exact=cached == found)
                if cached != found:
                    self._note(item, f"{spec.name} is {cached:#010x} in the cache, now {found:#x}")
            return
        again = decode(spec, encode(spec, values.numpy()))
        # The coarser of what is stored and what the teacher computes in.
        tolerance = max(RELATIVE_L2_TOLERANCE[name] for name in (spec.dtype, self._precision))
        self._floats(spec, rendered, stored, again, tolerance)

    def pixels(self, spec: ArraySpec, rendered: Sequence[RenderedRow]) -> None:
        """Compare rendered views with those an array keeps."""
        stored = self._store.read_rows(spec.name, [item.row for item in rendered])
        again = torch.stack([item.pixels[_frame_size(spec.name)] for item in rendered])
        if not spec.name.endswith(".jpeg"):
            self._floats(spec, rendered, stored, again, 0.0)
            return
        _, colours, num_frames, height, width = again.shape
        shape = (colours, num_frames, height, width)
        views = torch.stack([decode_frames(blob, shape) for blob in stored])
        self._floats(spec, rendered, views, again, _JPEG_TOLERANCE)

    def result(self, num_rows: int) -> Replay:
        return Replay(
            num_rows,
            tuple(sorted(self._different, key=lambda item: item.row)),
            self._worst,
            self._num_exact,
        )

    def _floats(
        self,
        spec: ArraySpec,
        rendered: Sequence[RenderedRow],
        stored: Tensor,
        again: Tensor,
        tolerance: float,
    ) -> None:
        for item, cached, found in zip(rendered, stored.double(), again.double(), strict=True):
            exact = torch.equal(cached, found)
            self._count(spec, exact=exact)
            norm = float(cached.norm())
            distance = 0.0 if exact else float((cached - found).norm()) / (norm or 1.0)
            self._worst[spec.name] = max(self._worst.get(spec.name, 0.0), distance)
            if not distance <= tolerance:  # NaN is no distance either
                self._note(
                    item,
                    f"{spec.name} is {distance:.2g} away from what is stored (relative L2); "
                    f"expected at most {tolerance:.2g}",
                )

    def _count(self, spec: ArraySpec, *, exact: bool) -> None:
        self._num_exact[spec.name] = self._num_exact.get(spec.name, 0) + exact

    def _note(self, item: RenderedRow, problem: str) -> None:
        self._different.append(Difference(item.row, item.video_id, problem))


def _readable_rows(store: CacheStore) -> list[tuple[ArraySpec, frozenset[int]]]:
    """Every array of the teacher's with its rows that have data."""
    found = []
    for name, layer in store.layers().items():
        if is_teacher_layer(name):
            committed = [row for p in store.committed_parts(name) for row in store.part_range(p)]
            rows = frozenset(committed).difference(store.failures(name))
            found += [(spec, rows) for spec in layer.arrays]
    return found


def _draw(
    store: CacheStore,
    readable: Iterable[tuple[ArraySpec, frozenset[int]]],
    num_rows: int,
    seed: int,
) -> list[int]:
    rows = sorted(frozenset[int]().union(*(rows for _, rows in readable)))
    if not rows:
        raise CacheIncompleteError(
            f"{store.location} has no row with data to replay; run: featkd extract"
        )
    generator = np.random.default_rng(seed)
    return sorted(generator.choice(rows, min(num_rows, len(rows)), replace=False).tolist())


def _frame_size(array_name: str) -> int:
    """Pixels of the views that an array keeps."""
    return int(array_name.removeprefix("frames/").removesuffix(".jpeg"))
