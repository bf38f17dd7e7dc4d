"""What filling a cache costs beside the teacher's own work.

    python benchmarks/extraction_overhead.py

`extract` fills a fresh cache. The bare loop loads the same teacher, decodes the same views with as
many threads as far ahead, runs the same batches in a thread of its own, and drops what comes out:
no checksum, nothing collected, compressed, written or committed. Both take turns in one process,
every second time in reverse order. Ratios are medians over the pairs, of wall time and, because a
busy machine disturbs that, of processor time too. Writes
benchmarks/results/extraction_overhead.json.

Three settings: ``miniature``, the demo as it is; ``wide``, an I3D of full width on 16 frames of
112 x 112 pixels with two full maps; ``early``, the miniature with a full map of an early layer, far
more bytes for each second of teacher than anybody would keep.
"""

import argparse
import os
import shutil
import statistics
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import torch
from record import save_record
from untrained_teacher import prepare_workspace

from featkd.cache import MemoryStore
from featkd.experiment import FrozenTeacher, Workspace, taps_to_extract
from featkd.experiment.row_index import RowIndex
from featkd.experiment.workspace import row_table
from featkd.extract import ExtractSummary, extract
from featkd.extract.rendering import RenderedRow, RowRenderer

SETTINGS = {
    "miniature": ("synthetic.videos_per_class={train: 40, val: 1, test: 1}",),
    "wide": (
        "synthetic.videos_per_class={train: 5, val: 1, test: 1}",
        "synthetic.size=128",
        "views.train={num_frames: 16, num_views: 2, horizontal_flip: false}",
        "teacher.model.width=1.0",
        "teacher.preprocess.size=112",
        "extract.taps=[Mixed_4f.full]",
    ),
    "early": (
        "synthetic.videos_per_class={train: 16, val: 1, test: 1}",
        "extract.taps=[Mixed_3c.full]",
    ),
}
_BATCHES_DECODED_AHEAD = 3


class BareLoop:
    """Decode and forward alone.

    Args:
        workspace: the recipe; its teacher is loaded at every run, as extraction loads it.
    """

    def __init__(self, workspace: Workspace) -> None:
        recipe = workspace.recipe
        clips = workspace.train_clips()
        views = recipe.views.train
        rows = row_table(clips, recipe.data.train_split, views, recipe.seed, range(views.num_views))
        self._workspace = workspace
        self._store = MemoryStore(rows, part_rows=recipe.extract.part_rows)
        self._size = recipe.teacher.preprocess.size
        self._render = RowRenderer(
            clips,
            views,
            seed=recipe.seed,
            index=RowIndex(self._store, clips.video_ids()),
            sizes=[self._size],
        )

    def __call__(self) -> None:
        """See every view once."""
        recipe = self._workspace.recipe
        teacher = FrozenTeacher(self._workspace).with_taps(taps_to_extract(recipe))

        def answer(batch: list[RenderedRow]) -> None:
            failures = [item.failure for item in batch if item.failure]
            if failures:
                raise SystemExit(f"a generated video does not render: {failures[0]}")
            teacher(torch.stack([item.pixels[self._size] for item in batch]))

        running: deque[Future[None]] = deque()
        with (
            ThreadPoolExecutor(recipe.loading.num_workers) as decoders,
            ThreadPoolExecutor(1) as forward,
        ):
            for batch in self._batches(decoders):
                running.append(forward.submit(answer, batch))
                if len(running) > 1:
                    running.popleft().result()
            running.pop().result()

    def _batches(self, decoders: ThreadPoolExecutor) -> Iterator[list[RenderedRow]]:
        batch_size = self._workspace.recipe.extract.batch_size
        batch: list[RenderedRow] = []
        for item in self._rendered(decoders, ahead=batch_size * _BATCHES_DECODED_AHEAD):
            batch.append(item)
            is_last_of_part = item.row + 1 in {self._store.num_rows, self._stop_of(item.row)}
            if len(batch) == batch_size or is_last_of_part:
                yield batch
                batch = []

    def _stop_of(self, row: int) -> int:
        return self._store.part_range(self._store.layout.part_of(row)).stop

    def _rendered(self, decoders: ThreadPoolExecutor, *, ahead: int) -> Iterator[RenderedRow]:
        waiting: deque[Future[RenderedRow]] = deque()
        for row in range(self._store.num_rows):
            waiting.append(decoders.submit(self._render, row))
            if len(waiting) >= ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def timed(work: Callable[[], object]) -> dict[str, float]:
    os.sync()  # what was written before is not to be paid for now
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return {"wall_sec": time.perf_counter() - wall, "cpu_sec": time.process_time() - cpu}


def measure(workspace: Workspace, num_pairs: int) -> dict[str, object]:
    summaries: list[ExtractSummary] = []

    def extract_afresh() -> None:
        summaries.append(extract(workspace))

    bare = BareLoop(workspace)
    shutil.rmtree(workspace.cache_path, ignore_errors=True)
    bare()  # brings videos and code into memory
    pairs = []
    for number in range(num_pairs):
        works: list[tuple[str, Callable[[], object]]] = [
            ("extract", extract_afresh),
            ("bare", bare),
        ]
        pair = {name: timed(work) for name, work in (works if number % 2 == 0 else works[::-1])}
        shutil.rmtree(workspace.cache_path)
        pairs.append(pair)
    summary = summaries[-1]
    seconds = statistics.median(pair["bare"]["wall_sec"] for pair in pairs)
    return {
        "num_rows": summary.num_rows,
        "mib_raw": summary.num_bytes_raw / 2**20,
        "mib_stored": summary.num_bytes / 2**20,
        "mib_raw_per_bare_second": summary.num_bytes_raw / 2**20 / seconds,
        "pairs": pairs,
        "stages_of_last_extraction_sec": summary.seconds,
        **{
            f"{kind}_ratio": statistics.median(
                pair["extract"][f"{kind}_sec"] / pair["bare"][f"{kind}_sec"] for pair in pairs
            )
            for kind in ("wall", "cpu")
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--settings", default=",".join(SETTINGS))
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--workdir", type=Path, default=Path("runs/extraction_overhead"))
    parser.add_argument("--set", action="append", default=[], dest="overrides")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    measured = {}
    for name in arguments.settings.split(","):
        settings = [*SETTINGS[name], *arguments.overrides]
        workspace = prepare_workspace(arguments.workdir / name, settings)
        measured[name] = measure(workspace, arguments.pairs)
        print(
            f"{name}: extract / bare {measured[name]['wall_ratio']:.3f} of wall time, "
            f"{measured[name]['cpu_ratio']:.3f} of processor time, "
            f"{measured[name]['mib_raw_per_bare_second']:.0f} MiB a second of the bare loop"
        )
    save_record("extraction_overhead", {"settings": measured})


if __name__ == "__main__":
    main()
