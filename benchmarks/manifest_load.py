"""Times a large manifest: write, read with all structure checks, digest; and its peak memory.

Each format is measured in a process of its own, with one thread of Arrow, so that neither time nor
memory of one format helps or harms the other.

    python benchmarks/manifest_load.py --rows 1000000
"""

import argparse
import hashlib
import json
import multiprocessing
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
import pandas as pd
import pyarrow as pa
from record import save_record

from featkd.manifest import Manifest, ManifestHeader, read_manifest, write_manifest

NUM_CLASSES = 400
Result = TypeVar("Result")


def example(num_rows: int) -> Manifest:
    """A manifest shaped like Kinetics: long ids, nested paths, digests, few absent values."""
    generator = np.random.default_rng(0)
    labels = generator.integers(0, NUM_CLASSES, num_rows)
    classes = tuple(f"class number {label}" for label in range(NUM_CLASSES))
    names = [f"{classes[label]}/{row:08d}_000012_000022" for row, label in enumerate(labels)]
    start_sec = generator.uniform(0.0, 100.0, num_rows).round(2)
    table = pd.DataFrame(
        {
            "video_id": names,
            "path": [f"{name}.mp4" for name in names],
            "label": labels,
            "class_name": [classes[label] for label in labels],
            "split": generator.choice(["train", "val", "test"], num_rows, p=[0.8, 0.1, 0.1]),
            "start_sec": start_sec,
            "end_sec": np.where(labels == 0, np.nan, start_sec + 10.0),
            "num_frames": generator.integers(200, 320, num_rows),
            "fps": generator.choice([25.0, 29.97, 30000 / 1001], num_rows),
            "width": 340,
            "height": 256,
            "group": [name.rpartition("/")[2][:8] for name in names],
            "sha256": [hashlib.sha256(name.encode()).hexdigest() for name in names],
        }
    )
    header = ManifestHeader(
        dataset="load", version="1", classes=classes, protocol="", source="", licence=""
    )
    return Manifest(header, table, Path())


def make_files(num_rows: int, paths: list[Path]) -> list[float]:
    """Write the same manifest to every path; the seconds each took."""
    manifest = example(num_rows)
    seconds = []
    for path in paths:
        start = time.perf_counter()
        write_manifest(manifest, path)
        seconds.append(time.perf_counter() - start)
    return seconds


def in_own_process(work: Callable[..., Result], *arguments: object) -> Result:
    """Call a function in a fresh process.

    The peak memory of a process starts from its parent's, so this one must stay small.
    """
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(work, arguments)


def peak_memory_mib() -> float:
    """Peak resident memory of this process so far, in MiB."""
    unit_bytes = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit_bytes / 2**20


def measure(path: Path) -> dict[str, float]:
    """Read a manifest in this process and take its digest."""
    pa.set_cpu_count(1)
    before_mib = peak_memory_mib()
    start, start_cpu = time.perf_counter(), time.process_time()
    manifest = read_manifest(path)
    read_seconds = time.perf_counter() - start
    read_cpu_seconds = time.process_time() - start_cpu
    read_mib = peak_memory_mib()
    start = time.perf_counter()
    digest = manifest.digest
    digest_seconds = time.perf_counter() - start
    start = time.perf_counter()
    clips = manifest.clips("train")
    clips_seconds = time.perf_counter() - start
    return {
        "read_seconds": round(read_seconds, 3),
        "read_cpu_seconds": round(read_cpu_seconds, 3),
        "digest_seconds": round(digest_seconds, 3),
        "train_clips": len(clips),
        "train_clips_seconds": round(clips_seconds, 3),
        "imports_mib": round(before_mib),
        "read_peak_mib": round(read_mib),
        "file_mib": round(path.stat().st_size / 2**20, 1),
        "digest": digest,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    arguments = parser.parse_args()
    formats = {}
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"manifest{suffix}" for suffix in (".csv", ".parquet")]
        write_seconds = in_own_process(make_files, arguments.rows, paths)
        for path, seconds in zip(paths, write_seconds, strict=True):
            measured = in_own_process(measure, path)
            formats[path.suffix[1:]] = {"write_seconds": round(seconds, 3), **measured}
    result = {
        "load_average_1_min_at_end": round(os.getloadavg()[0], 2),
        "rows": arguments.rows,
        "formats": formats,
        "digests_equal": formats["csv"]["digest"] == formats["parquet"]["digest"],
    }
    print(json.dumps(result, indent=2))
    save_record("manifest_load", result)


if __name__ == "__main__":
    main()
