"""Opening a cache of many rows: seconds and peak memory.

    python benchmarks/cache_open.py

Rows have 16 frame indices and two small arrays, 10 logits and a checksum. Caches are written once
into --workdir, then each is opened in fresh processes and every step is timed up to the first 16
random rows, then the columns of the row table that training needs. Files are in the page cache.
Memory is the peak of the process, imports included; what imports alone take stands beside it.
Writes benchmarks/results/cache_open.json.
"""

import argparse
import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Literal, TypeVar

from own_process import in_own_process, peak_memory_mib

REPOSITORY = Path(__file__).parents[1]
ARRAYS: dict[str, tuple[tuple[int, ...], Literal["float32", "uint32"]]] = {
    "logits": ((10,), "float32"),
    "frames_crc32": ((), "uint32"),
}
ROWS_PER_FAILURE = 10_000
Result = TypeVar("Result")


def build(folder: Path, num_rows: int, part_rows: int) -> float:
    """Write a cache; the seconds it took."""
    import numpy as np
    from feature_maps import row_table

    from featkd.cache import ArraySpec, FolderStore

    started = time.perf_counter()
    specs = [
        ArraySpec(name=name, shape=shape, dtype=dtype) for name, (shape, dtype) in ARRAYS.items()
    ]
    generator = np.random.default_rng(0)
    with FolderStore.create(folder, row_table(num_rows), part_rows=part_rows) as store:
        store.add_layer("teacher", specs, {})
        for part in range(store.num_parts):
            rows = store.part_range(part)
            arrays = {
                "logits": generator.standard_normal((len(rows), 10), dtype=np.float32),
                "frames_crc32": np.arange(rows.start, rows.stop, dtype=np.uint32),
            }
            has_failure = part % (ROWS_PER_FAILURE // part_rows) == 0
            failures = {rows.start: "no frame decodes"} if has_failure else {}
            store.write_part("teacher", part, arrays, failures=failures, seconds={"decode": 1.0})
    return time.perf_counter() - started


def measure(folder: Path) -> dict[str, float]:
    """Open a cache in this process; seconds of each step, and MiB."""
    found: dict[str, float] = {}

    def timed(name: str, work: Callable[[], Result]) -> Result:
        started = time.perf_counter()
        result = work()
        found[f"{name}_sec"] = time.perf_counter() - started
        found[f"{name}_peak_mib"] = peak_memory_mib()
        return result

    def load_package() -> None:
        from featkd.cache import FolderStore  # noqa: F401

    timed("import", load_package)
    import numpy as np

    from featkd.cache import FolderStore

    store = timed("open", lambda: FolderStore.open(folder))
    timed("committed_parts", lambda: store.committed_parts("teacher"))
    failures = timed("failures", lambda: store.failures("teacher"))
    picked = np.random.default_rng(0).permutation(store.num_rows)[:64].tolist()
    rows = [row for row in picked if row not in failures][:16]
    for name in ARRAYS:
        timed(f"read_{name}", lambda name=name: store.read_rows(name, rows))
    # Last, since only training needs it: the steps before are what opening takes.
    timed("row_columns", lambda: store.row_columns(["video_id", "view_index"]))
    seconds = {name: value for name, value in found.items() if name.endswith("_sec")}
    return {
        **found,
        "total_without_import_sec": sum(seconds.values()) - found["import_sec"],
        "peak_mib": peak_memory_mib(),
    }


def build_once(folder: Path, num_rows: int, part_rows: int) -> None:
    if not folder.exists():
        unfinished = folder.with_suffix(".unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        seconds = in_own_process(build, unfinished, num_rows, part_rows)
        unfinished.rename(folder)
        print(f"{folder.name} written in {seconds:.0f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", default="100000,1000000")
    parser.add_argument("--part-rows", default="64,1024")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workdir", type=Path, default=REPOSITORY / "runs" / "cache_bench")
    arguments = parser.parse_args()
    folders = {}
    for num_rows in map(int, arguments.rows.split(",")):
        for part_rows in map(int, arguments.part_rows.split(",")):
            name = f"{num_rows} rows, {part_rows} a part"
            folders[name] = arguments.workdir / f"open-{num_rows}-{part_rows}"
            build_once(folders[name], num_rows, part_rows)
    rounds = [
        {name: in_own_process(measure, folder) for name, folder in folders.items()}
        for _ in range(arguments.rounds)
    ]
    medians = {
        name: {
            step: round(median(one[name][step] for one in rounds), 4) for step in rounds[0][name]
        }
        for name in folders
    }
    print(json.dumps(medians, indent=2))
    from record import save_record  # last: this process must stay small

    save_record("cache_open", {"medians": medians, "rounds": rounds})


if __name__ == "__main__":
    main()
