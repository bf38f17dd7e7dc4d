"""Writing parts of 64 rows of feature maps from memory: featkd's cache against bare writers.

    python benchmarks/cache_write.py

Every part is (64, 1024, 8, 7, 7) float16 with attention and logits. featkd puts each part onto the
disk for good, digests it and commits it; so does, without digest and commit, the raw file. Bare
tensorstore writes the very arrays that featkd lays out, one transaction a shard, each file onto the
disk for good too; zarr-python assigns to them, part by part. Writers take turns, each time in a
fresh process; ratios are medians of the ratios within a round. Writes
benchmarks/results/cache_write.json and .md.
"""

import argparse
import importlib.util
import os
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median
from typing import NamedTuple

from cache_formats import PART_ROWS, Block, create_featkd
from cache_read import PEERS, folder_kb
from feature_maps import MADE_OF, REPOSITORY, ROW_SHAPES, signals
from own_process import in_own_process

REFERENCE = "tensorstore zstd, no commit"
NUM_DIFFERENT_PARTS = 4
WritePart = Callable[[int, Block], None]


def open_featkd(backend: str, compression: str) -> Callable[[Path, int], WritePart]:
    def open_writer(folder: Path, num_rows: int) -> WritePart:
        store = create_featkd(folder, num_rows, backend, compression)
        return lambda part, block: store.write_part("teacher", part, block, failures={}, seconds={})

    return open_writer


def open_tensorstore(folder: Path, num_rows: int) -> WritePart:
    import tensorstore as ts

    create_featkd(folder, num_rows, "zarr", "zstd").close()
    arrays = {}
    for name in ROW_SHAPES:
        kvstore = {"driver": "file", "path": f"{folder / 'arrays' / name}/"}
        arrays[name] = ts.open({"driver": "zarr3", "kvstore": kvstore}, open=True).result()

    def write_part(part: int, block: Block) -> None:
        for name, values in block.items():
            with ts.Transaction() as transaction:
                arrays[name].with_transaction(transaction)[rows_of(part)] = values

    return write_part


def open_zarr_python(folder: Path, num_rows: int) -> WritePart:
    import zarr

    create_featkd(folder, num_rows, "zarr", "zstd").close()
    arrays = {name: zarr.open_array(folder / "arrays" / name, mode="r+") for name in ROW_SHAPES}

    def write_part(part: int, block: Block) -> None:
        for name, values in block.items():
            arrays[name][rows_of(part)] = values

    return write_part


def open_raw_file(folder: Path, num_rows: int) -> WritePart:  # noqa: ARG001
    def write_part(part: int, block: Block) -> None:
        with (folder / f"{part:06d}.bin").open("wb") as file:
            for values in block.values():
                file.write(values.data)
            file.flush()
            os.fsync(file.fileno())

    return write_part


def rows_of(part: int) -> slice:
    return slice(part * PART_ROWS, (part + 1) * PART_ROWS)


WRITERS: Mapping[str, Callable[[Path, int], WritePart]] = {
    "raw file, fsync": open_raw_file,
    REFERENCE: open_tensorstore,
    "featkd zarr zstd": open_featkd("zarr", "zstd"),
    "featkd zarr lz4": open_featkd("zarr", "lz4"),
    "featkd zarr none": open_featkd("zarr", "none"),
    "featkd hdf5 gzip": open_featkd("hdf5", "gzip"),
    "featkd hdf5 zstd": open_featkd("hdf5", "zstd"),
    "zarr-python zstd, no fsync": open_zarr_python,
}
OPTIONAL = {"featkd hdf5 zstd": "hdf5plugin", "zarr-python zstd, no fsync": "zarr"}
"""Packages that featkd does without; who needs a missing one is left out."""


class Written(NamedTuple):
    """What one writer did in a round."""

    mb_per_sec: float
    cpu_ms_per_row: float
    kb_per_row: float


def measure(name: str, kind: str, num_parts: int, workdir: Path) -> Written:
    """Write parts to a new folder, and delete it."""
    blocks = list(signals(kind, NUM_DIFFERENT_PARTS * PART_ROWS, PART_ROWS, workdir))
    folder = workdir / "written"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    num_rows = num_parts * PART_ROWS
    write_part = WRITERS[name](folder, num_rows)
    os.sync()
    started, cpu_started = time.perf_counter(), time.process_time()
    for part in range(num_parts):
        write_part(part, blocks[part % len(blocks)])
    elapsed = time.perf_counter() - started
    cpu_seconds = time.process_time() - cpu_started
    stored_kb = folder_kb(folder, num_rows)
    shutil.rmtree(folder)
    row_bytes = sum(values.nbytes for values in blocks[0].values()) / PART_ROWS
    return Written(
        mb_per_sec=row_bytes * num_rows / elapsed / 1e6,
        cpu_ms_per_row=cpu_seconds * 1e3 / num_rows,
        kb_per_row=stored_kb,
    )


def tabulate(kind: str, measured: Mapping[str, list[Written]]) -> str:
    """A table in Markdown."""
    lines = [
        f"Writing {kind} maps: medians",
        "",
        f"| writer | kB/row | MB/s before compression | / {REFERENCE} | CPU ms/row |",
        "|---|---|---|---|---|",
    ]
    for name, rounds in measured.items():
        ratios = [
            one.mb_per_sec / other.mb_per_sec
            for one, other in zip(rounds, measured[REFERENCE], strict=True)
        ]
        lines.append(
            f"| {name} | {rounds[0].kb_per_row:.0f} "
            f"| {median(one.mb_per_sec for one in rounds):.0f} | {median(ratios):.2f} "
            f"| {median(one.cpu_ms_per_row for one in rounds):.2f} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parts", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--data", default="synthetic,real")
    parser.add_argument("--workdir", type=Path, default=REPOSITORY / "runs" / "cache_bench")
    arguments = parser.parse_args()
    from record import RESULTS, save_record  # slow to import, and children do not need it

    writers = [name for name in WRITERS if importlib.util.find_spec(OPTIONAL.get(name, "featkd"))]
    arguments.workdir.mkdir(parents=True, exist_ok=True)
    data, tables = {}, []
    for kind in arguments.data.split(","):
        measured: dict[str, list[Written]] = {name: [] for name in writers}
        for number in range(arguments.rounds):
            # Every second round in reverse, so that none always comes after the same other.
            for name in writers if number % 2 == 0 else reversed(writers):
                written = in_own_process(measure, name, kind, arguments.parts, arguments.workdir)
                measured[name].append(written)
        data[kind] = {name: [one._asdict() for one in rounds] for name, rounds in measured.items()}
        tables.append(tabulate(kind, measured))
        print(tables[-1])
    made_of = {kind: MADE_OF[kind] for kind in data}
    save_record("cache_write", {"made_of": made_of, "data": data}, packages=PEERS)
    (RESULTS / "cache_write.md").write_text("\n".join(tables), encoding="utf-8")


if __name__ == "__main__":
    main()
