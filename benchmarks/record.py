"""How a benchmark records what it measured."""

import datetime as dt
import json
import os
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from featkd.cli.machine import describe_machine

RESULTS = Path(__file__).parent / "results"
_LOAD_AT_START = os.getloadavg()[0]


def save_record(
    name: str,
    content: Mapping[str, object],
    *,
    device: torch.device | None = None,
    packages: Sequence[str] = (),
) -> Path:
    """Write ``results/<name>.json``: command line, date, machine, then the content.

    Args:
        name: of the benchmark.
        content: what was measured, as JSON can hold it.
        device: where networks ran.
        packages: further packages whose versions matter.
    """
    arguments = " ".join(sys.argv[1:])
    machine = describe_machine(device or torch.device("cpu"))
    machine["versions"] |= {package: _version(package) for package in packages}
    record = {
        "command": f"python benchmarks/{Path(sys.argv[0]).name} {arguments}".rstrip(),
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
        **machine,
        "load_average_1_min_at_start": round(_LOAD_AT_START, 2),
        **content,
    }
    path = RESULTS / f"{name}.json"
    RESULTS.mkdir(exist_ok=True)
    path.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    return path


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
