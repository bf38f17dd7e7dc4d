"""Reading random rows of feature maps: featkd's cache against other ways to keep them.

    python benchmarks/cache_read.py

Batches of 16 random rows of the same (1024, 8, 7, 7) float16 maps, beside which attention and
logits are stored; `--all-arrays` reads those too. Readers take turns, each time in a fresh process,
so that a machine that changes its speed changes all; ratios are medians of the ratios within a
round. Warm: all files are in the page cache. Cold: none is, and opening counts. WebDataset streams
shuffled shards, since it cannot read a row by its number. WebDataset, LitData and zstd in HDF5 are
measured where their packages are installed. Needs Linux. Writes
benchmarks/results/cache_read.json and .md, or cache_read_all_arrays with that option.
"""

import argparse
import importlib.util
import itertools
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from typing import NamedTuple

import numpy as np
from cache_formats import FORMATS, PART_ROWS, Block, Read, open_memmap
from feature_maps import MADE_OF, MAPS, REPOSITORY, ROW_SHAPES, describe, signals
from own_process import in_own_process

BATCH_ROWS = 16
PEERS_OF_ARRAY = ("tensorstore", "zarr-python")
"""Other readers of the very arrays that featkd stores; zarr-python reads row by row."""
PEERS = ("zarr", "h5py", "hdf5plugin", "safetensors", "webdataset", "litdata")


class Setting(NamedTuple):
    """What all readers are given alike in a round."""

    num_rows: int
    seconds: float
    seed: int
    arrays: tuple[str, ...]


class Rate(NamedTuple):
    """Decoded megabytes a second, and processor time a row."""

    mb_per_sec: float
    cpu_ms_per_row: float


def store(folder: Path, name: str, num_rows: int) -> None:
    """Write a data set in one format, unless it is there; the others are copied from the memmap."""
    target = folder / FORMATS[name].stored
    if target.exists():
        return
    unfinished = target.with_suffix(".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    if name == "memmap":
        blocks = signals(folder.name.partition("-")[0], num_rows, PART_ROWS, folder.parent)
    else:
        blocks = stored_blocks(folder, num_rows)
    FORMATS[name].write(unfinished, blocks, num_rows)
    unfinished.rename(target)


def stored_blocks(folder: Path, num_rows: int) -> Iterator[Block]:
    """What the memmap holds, in blocks."""
    read = open_memmap(folder / "memmap")
    for start in range(0, num_rows, PART_ROWS):
        rows = range(start, min(start + PART_ROWS, num_rows))
        yield dict(zip(ROW_SHAPES, read(tuple(ROW_SHAPES), rows), strict=True))


def measure(folder: Path, name: str, temperature: str, setting: Setting) -> dict[int, Rate]:
    """Rates of one reader by number of threads."""
    form = FORMATS[name]
    files = [path for path in sorted((folder / form.stored).rglob("*")) if path.is_file()]
    order = np.random.default_rng(setting.seed).permutation(setting.num_rows).tolist()
    batches = [order[i : i + BATCH_ROWS] for i in range(0, len(order), BATCH_ROWS)]
    if temperature == "warm":
        for path in files:
            load(path)
    form.open(folder / form.stored)  # imports what it needs
    rates = {}
    for num_threads in (1,) if form.sequential else (1, 2):
        if temperature == "cold":
            forget(files)
        started = time.perf_counter()
        read = form.open(folder / form.stored)
        if temperature == "warm":
            warm_up(read, folder, batches[0], compare=not form.sequential)
            started = time.perf_counter()
        source = itertools.cycle(batches) if temperature == "warm" else iter(batches)
        rates[num_threads] = drain(read, setting, source, started, num_threads)
        del read  # closes its files, which could not be forgotten otherwise
    return rates


def drain(
    read: Read, setting: Setting, batches: Iterator[list[int]], started: float, num_threads: int
) -> Rate:
    """Read batches in threads until time is up or none is left."""

    def work() -> tuple[int, int]:
        num_rows = num_bytes = 0
        while time.perf_counter() < started + setting.seconds:
            batch = next(batches, None)
            if batch is None:
                break
            num_bytes += sum(values.nbytes for values in read(setting.arrays, batch))
            num_rows += len(batch)
        return num_rows, num_bytes

    cpu_started = time.process_time()
    with ThreadPoolExecutor(num_threads) as pool:
        futures = [pool.submit(work) for _ in range(num_threads)]
        num_rows, num_bytes = np.sum([future.result() for future in futures], axis=0).tolist()
    return Rate(
        mb_per_sec=num_bytes / (time.perf_counter() - started) / 1e6,
        cpu_ms_per_row=(time.process_time() - cpu_started) * 1e3 / num_rows,
    )


def warm_up(read: Read, folder: Path, rows: list[int], *, compare: bool) -> None:
    """Read a batch, and see that it is what was stored."""
    names = tuple(ROW_SHAPES)
    expected = open_memmap(folder / "memmap")(names, rows)
    for name, found, values in zip(names, read(names, rows), expected, strict=True):
        if found.shape != values.shape or (compare and not np.array_equal(found, values)):
            raise SystemExit(f"array {name} as read differs from what was stored")


def load(path: Path) -> None:
    """Bring a file into the page cache."""
    with path.open("rb") as file:
        while file.read(1 << 24):
            pass


def forget(files: Sequence[Path]) -> None:
    """Drop files from the page cache. What the host of a virtual machine caches stays."""
    os.sync()
    for path in files:
        with path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def folder_kb(folder: Path, num_rows: int) -> float:
    """Kilobytes of a row, with whatever else lies in the folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / num_rows / 1e3


def tabulate(kind: str, measured: dict[str, dict[str, list[Rate]]], kb: dict[str, float]) -> str:
    """A table in Markdown: medians, and medians of the ratios within a round.

    Args:
        kind: of the maps.
        measured: rates of every round by temperature and threads, by reader.
        kb: size of a row by reader.
    """
    lines = [
        f"MB/s of decoded {kind} maps with one and two threads, and ratios of them",
        "",
        "| reader | kB/row | warm 1 | warm 2 | cold 1 | cold 2 | CPU ms/row |"
        + "".join(f" warm 1 / {name}, same array |" for name in PEERS_OF_ARRAY)
        + " warm 1 / memmap |"
        + " cold 1 / memmap | cold 2 / memmap |",
        "|---|" + "---|" * (9 + len(PEERS_OF_ARRAY)),
    ]
    for name, rates in measured.items():
        cells = [f"{kb[name]:.0f}"]
        for case in ("warm 1", "warm 2", "cold 1", "cold 2"):
            values = [rate.mb_per_sec for rate in rates.get(case, ())]
            cells.append(f"{median(values):.0f}" if values else "")
        cells.append(f"{median(rate.cpu_ms_per_row for rate in rates['warm 1']):.2f}")
        peers = [name.replace("featkd zarr", peer) for peer in PEERS_OF_ARRAY]
        cells += [
            ratio(rates, measured[peer], "warm 1") if peer != name and peer in measured else ""
            for peer in peers
        ]
        cells.append(ratio(rates, measured["memmap"], "warm 1"))
        cells += [ratio(rates, measured["memmap"], case) for case in ("cold 1", "cold 2")]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def ratio(rates: dict[str, list[Rate]], others: dict[str, list[Rate]], case: str) -> str:
    """Median of the ratios within a round; empty where there is nothing to compare."""
    if case not in rates:
        return ""
    pairs = zip(rates[case], others[case], strict=True)
    return f"{median(rate.mb_per_sec / other.mb_per_sec for rate, other in pairs):.2f}"


def as_json(measured: dict[str, dict[str, list[Rate]]]) -> dict[str, dict[str, object]]:
    return {
        name: {case: [rate._asdict() for rate in rounds] for case, rounds in rates.items()}
        for name, rates in measured.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each measurement, at most")
    parser.add_argument("--data", default="synthetic,real")
    parser.add_argument("--readers", help="some of them, besides the memory map; default: all")
    parser.add_argument("--all-arrays", action="store_true")
    parser.add_argument("--workdir", type=Path, default=REPOSITORY / "runs" / "cache_bench")
    arguments = parser.parse_args()
    from record import RESULTS, save_record  # slow to import, and children do not need it

    wanted = [*arguments.readers.split(","), "memmap"] if arguments.readers else FORMATS
    readers = [
        name for name in FORMATS if name in wanted and importlib.util.find_spec(FORMATS[name].needs)
    ]
    arrays = tuple(ROW_SHAPES) if arguments.all_arrays else (MAPS,)
    data, tables = {}, []
    for kind in arguments.data.split(","):
        folder = arguments.workdir / f"{kind}-{arguments.rows}"
        for name in readers:
            in_own_process(store, folder, name, arguments.rows)
        measured: dict[str, dict[str, list[Rate]]] = {name: {} for name in readers}
        for number in range(arguments.rounds):
            setting = Setting(arguments.rows, arguments.seconds, number, arrays)
            for temperature in ("warm", "cold"):
                # Every second round in reverse, so that none always comes after the same other.
                for name in readers if number % 2 == 0 else reversed(readers):
                    rates = in_own_process(measure, folder, name, temperature, setting)
                    for threads, rate in rates.items():
                        measured[name].setdefault(f"{temperature} {threads}", []).append(rate)
        kb = {name: folder_kb(folder / FORMATS[name].stored, arguments.rows) for name in readers}
        maps = np.load(folder / "memmap" / "0.npy", mmap_mode="r")
        data[kind] = {
            "made_of": MADE_OF[kind],
            "maps": describe(maps[:PART_ROWS]),
            "kb_per_row": kb,
            "rates": as_json(measured),
        }
        tables.append(tabulate(kind, measured, kb))
        print(tables[-1])
    skipped = [name for name in FORMATS if name not in readers]
    record = {"arrays": arrays, "not_measured": skipped, "data": data}
    name = "cache_read_all_arrays" if arguments.all_arrays else "cache_read"
    save_record(name, record, packages=PEERS)
    (RESULTS / f"{name}.md").write_text("\n".join(tables), encoding="utf-8")


if __name__ == "__main__":
    main()
