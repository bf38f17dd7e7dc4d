"""Times a large manifest: write, open with all checks, a split's clips, digest; and memory.

Each format is opened in a process of its own, with one thread of Arrow, so that neither time nor
memory of one format helps or harms the other. The imports count, and so stand in functions.

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

NUM_CLASSES = 400
Result = TypeVar("Result")


def make_files(num_rows: int, paths: list[Path]) -> list[float]:
    """Write one manifest to every path; the seconds each took.

    It is shaped like Kinetics: long ids, nested paths, digests, few absent values.
    """
    import numpy as np
    import pandas as pd

    from featkd.manifest import Manifest, ManifestHeader, write_manifest

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
    manifest = Manifest(header, table, Path())
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


def seconds_of(work: Callable[[], Result]) -> tuple[float, Result]:
    """How long a call takes, and its result."""
    start = time.perf_counter()
    result = work()
    return round(time.perf_counter() - start, 3), result


def measure(path: Path) -> dict[str, object]:
    """Open a manifest in this process, ask for a split's clips, and take its digest."""
    start = time.perf_counter()
    import pyarrow as pa

    from featkd.manifest import read_manifest

    pa.set_cpu_count(1)
    figures: dict[str, object] = {
        "file_mib": round(path.stat().st_size / 2**20, 1),
        "imports_seconds": round(time.perf_counter() - start, 3),
        "imports_mib": round(peak_memory_mib()),
    }
    start_cpu = time.process_time()
    figures["read_seconds"], manifest = seconds_of(lambda: read_manifest(path))
    figures["read_cpu_seconds"] = round(time.process_time() - start_cpu, 3)
    figures["read_peak_mib"] = round(peak_memory_mib())
    figures["train_clips_seconds"], clips = seconds_of(lambda: manifest.clips("train"))
    figures["train_clips"] = len(clips)
    positions = range(0, len(clips), max(1, len(clips) // 1000))
    figures["thousand_clips_seconds"], _ = seconds_of(lambda: [clips[i] for i in positions])
    figures["every_clip_seconds"], _ = seconds_of(lambda: sum(clip.label for clip in clips))
    figures["train_clips_peak_mib"] = round(peak_memory_mib())
    figures["digest_seconds"], figures["digest"] = seconds_of(lambda: manifest.digest)
    figures["digest_peak_mib"] = round(peak_memory_mib())
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    arguments = parser.parse_args()
    load_at_start = os.getloadavg()[0]
    formats = {}
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"manifest{suffix}" for suffix in (".csv", ".parquet")]
        write_seconds = in_own_process(make_files, arguments.rows, paths)
        for path, seconds in zip(paths, write_seconds, strict=True):
            measured = in_own_process(measure, path)
            formats[path.suffix[1:]] = {"write_seconds": round(seconds, 3), **measured}
    result = {
        "load_average_1_min_at_start": round(load_at_start, 2),
        "load_average_1_min_at_end": round(os.getloadavg()[0], 2),
        "rows": arguments.rows,
        "formats": formats,
        "digests_equal": formats["csv"]["digest"] == formats["parquet"]["digest"],
    }
    print(json.dumps(result, indent=2))

    from record import save_record

    save_record("manifest_load", result)


if __name__ == "__main__":
    main()
