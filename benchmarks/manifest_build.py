"""Times building and validating a manifest of UCF101's size on stand-ins for its videos.

The official lists give 13,320 names. Each becomes a sparse file that begins with a real video of a
few frames and has the mean size of UCF101's clips, so that hashing reads as much as it would; real
clips have some 190 frames of 320x240 pixels, and decoding those takes as long as decoding takes.

    FEATKD_SHARED=../shared python benchmarks/manifest_build.py
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import TypeVar

import av
import numpy as np
from record import save_record

from featkd.manifest import (
    build_from_lists,
    build_ucf101_by_group,
    check_contents,
    check_descriptor,
    check_extra_files,
    check_files,
    check_table,
    journal_beside,
    read_listing,
    read_manifest,
    shipped_descriptor,
    write_manifest,
)

MEAN_CLIP_BYTES = 500 * 1024
LIMIT_SECONDS = 60.0
Result = TypeVar("Result")


def small_video(num_frames: int = 4) -> bytes:
    """An AVI of a few frames of 32x24 pixels."""
    buffer = BytesIO()
    with av.open(buffer, "w", format="avi") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 32, 24, "yuv420p"
        for index in range(num_frames):
            pixels = np.full((24, 32, 3), 40 * index, dtype=np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
    return buffer.getvalue()


def make_stand_ins(root: Path, names: list[str]) -> None:
    """Sparse files with these names; the last bytes of each differ, so that none is a copy."""
    video = small_video()
    for number, name in enumerate(names):
        path = root / name
        path.parent.mkdir(exist_ok=True)
        with path.open("wb") as file:
            file.write(video)
            padding = MEAN_CLIP_BYTES - len(video) - 8
            file.write(b"JUNK" + padding.to_bytes(4, "little"))  # a chunk that players pass over
            file.seek(MEAN_CLIP_BYTES - 8)
            file.write(number.to_bytes(8, "little"))


def seconds_of(work: Callable[[], Result]) -> tuple[float, Result]:
    """How long a call takes, and its result."""
    start = time.perf_counter()
    result = work()
    return round(time.perf_counter() - start, 2), result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    workers = parser.parse_args().workers
    shared = Path(os.environ.get("FEATKD_SHARED", "../shared"))
    lists = [shared / "data" / "annotations" / "ucf101"]
    if not lists[0].is_dir():
        sys.exit(f"{lists[0]} is no folder; set FEATKD_SHARED to the folder of the shared data")
    descriptor = shipped_descriptor("ucf101")
    with tempfile.TemporaryDirectory() as folder:
        root, path = Path(folder) / "UCF-101", Path(folder) / "ucf101.csv"
        root.mkdir()
        make_stand_ins(root, [clip.path for clip in read_listing(lists, descriptor).clips])
        journal = {"journal_path": journal_beside(path), "num_workers": workers}
        processor_start = time.process_time()
        build_seconds, built = seconds_of(
            lambda: build_from_lists(root, lists, descriptor, fold="1", **journal)
        )
        write_manifest(built.manifest, path)
        read_seconds, manifest = seconds_of(lambda: read_manifest(path, root=root))
        files_seconds, problems = seconds_of(
            lambda: [
                *check_table(manifest),
                *check_descriptor(manifest, descriptor),
                *check_files(manifest),
                *check_extra_files(manifest),
            ]
        )
        contents_seconds, more = seconds_of(lambda: check_contents(manifest, **journal))
        processor_seconds = time.process_time() - processor_start
        by_group = build_ucf101_by_group(root, descriptor, fold="1", **journal)
    total = build_seconds + read_seconds + files_seconds + contents_seconds
    result = {
        "rows": manifest.num_rows,
        "bytes_per_file": MEAN_CLIP_BYTES,
        "workers": workers,
        "rejected": len(built.rejected),
        "problems": len(problems) + len(more),
        "build_seconds": build_seconds,
        "read_manifest_seconds": read_seconds,
        "validate_files_seconds": files_seconds,
        "validate_contents_seconds": contents_seconds,
        "total_seconds": round(total, 2),
        "total_processor_seconds": round(processor_seconds, 2),
        "limit_seconds": LIMIT_SECONDS,
        "within_limit": total < LIMIT_SECONDS,
        "digest_by_lists_equals_digest_by_group": built.manifest.digest == by_group.manifest.digest,
    }
    print(json.dumps(result, indent=2))
    save_record("manifest_build", result)


if __name__ == "__main__":
    main()
