"""How a benchmark records what it measured."""

import datetime as dt
import json
import sys
from collections.abc import Mapping
from pathlib import Path

import torch

from featkd.cli.machine import describe_machine

RESULTS = Path(__file__).parent / "results"


def save_record(
    name: str, content: Mapping[str, object], *, device: torch.device | None = None
) -> Path:
    """Write ``results/<name>.json``: command line, date, machine, then the content."""
    arguments = " ".join(sys.argv[1:])
    record = {
        "command": f"python benchmarks/{Path(sys.argv[0]).name} {arguments}".rstrip(),
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
        **describe_machine(device or torch.device("cpu")),
        **content,
    }
    path = RESULTS / f"{name}.json"
    RESULTS.mkdir(exist_ok=True)
    path.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    return path
