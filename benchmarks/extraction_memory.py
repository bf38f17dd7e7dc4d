"""Whether the memory of an extraction stays flat over its parts.

    python benchmarks/extraction_memory.py

One extraction of more than 200 small parts for each backend, in a fresh process. After every part
the memory that is resident, and its peak so far, are read from the system. Fails where the peak
grows by 5 % or more from part 20 to the end. Needs Linux. Writes
benchmarks/results/extraction_memory.json.
"""

import argparse
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from own_process import in_own_process
from record import save_record
from untrained_teacher import prepare_workspace

from featkd.extract import extract
from featkd.types import Item, Silent

SETTINGS = (
    "synthetic.videos_per_class={train: 36, val: 1, test: 1}",
    "extract.part_rows=8",
    "extract.batch_size=8",
    "extract.taps=[Mixed_4f.full]",
)
FIRST_PART = 20
LARGEST_GROWTH = 0.05


class MemoryAtParts(Silent):
    """Reads the memory whenever the rows of a part have gone through."""

    def __init__(self, part_rows: int) -> None:
        self.part_rows = part_rows
        self.resident_mib: list[float] = []
        self.peak_mib: list[float] = []

    def track(
        self,
        items: Iterable[Item],
        *,
        description: str,  # noqa: ARG002 - as the protocol has it
        total: int,  # noqa: ARG002
        unit: str,  # noqa: ARG002
        done: int = 0,
    ) -> Iterable[Item]:
        """Pass rows through."""
        for number, item in enumerate(items, start=done + 1):
            yield item
            if number % self.part_rows == 0:
                self.resident_mib.append(memory_mib("VmRSS"))
                self.peak_mib.append(memory_mib("VmHWM"))


def memory_mib(field: str) -> float:
    """A field of this process's memory, as Linux accounts for it."""
    lines = Path("/proc/self/status").read_text().splitlines()
    (words,) = [line.split() for line in lines if line.startswith(f"{field}:")]
    return int(words[1]) / 1024


def growth(series: list[float]) -> float:
    """Relative growth from part `FIRST_PART`, counted from 1, to the last."""
    return series[-1] / series[FIRST_PART - 1] - 1


def measure(folder: Path, settings: list[str]) -> dict[str, object]:
    workspace = prepare_workspace(folder, settings)
    shutil.rmtree(workspace.cache_path, ignore_errors=True)
    memory = MemoryAtParts(workspace.recipe.extract.part_rows)
    summary = extract(workspace, memory)
    if len(memory.peak_mib) <= FIRST_PART:
        raise SystemExit(f"{len(memory.peak_mib)} parts; expected more than {FIRST_PART}")
    return {
        "num_parts": len(memory.peak_mib),
        "num_rows": summary.num_rows,
        "mib_raw": summary.num_bytes_raw / 2**20,
        "peak_growth": growth(memory.peak_mib),
        "resident_growth": growth(memory.resident_mib),
        "resident_mib": [round(value, 1) for value in memory.resident_mib],
        "peak_mib": [round(value, 1) for value in memory.peak_mib],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backends", default="zarr,hdf5")
    parser.add_argument("--workdir", type=Path, default=Path("runs/extraction_memory"))
    parser.add_argument("--set", action="append", default=[], dest="overrides")
    arguments = parser.parse_args()
    measured: dict[str, dict[str, Any]] = {}
    for backend in arguments.backends.split(","):
        settings = [*SETTINGS, f"extract.backend={backend}", *arguments.overrides]
        # Making videos and teacher takes memory too, so that is done by another process.
        in_own_process(_prepare, arguments.workdir, settings)
        measured[backend] = in_own_process(measure, arguments.workdir, settings)
        found = measured[backend]
        print(
            f"{backend}: {found['num_parts']} parts, peak {found['peak_mib'][-1]:.0f} MiB, "
            f"{found['peak_growth']:+.1%} from part {FIRST_PART} on; "
            f"resident {found['resident_growth']:+.1%}"
        )
    save_record("extraction_memory", {"first_part": FIRST_PART, "backends": measured})
    too_much = [name for name, found in measured.items() if found["peak_growth"] >= LARGEST_GROWTH]
    if too_much:
        raise SystemExit(f"memory grows by {LARGEST_GROWTH:.0%} or more: {', '.join(too_much)}")


def _prepare(folder: Path, settings: list[str]) -> None:
    prepare_workspace(folder, settings)


if __name__ == "__main__":
    main()
