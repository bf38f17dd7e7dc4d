"""On what a measurement was made."""

import os
import platform
from importlib.metadata import version
from pathlib import Path

import torch

from featkd.experiment import Workspace

_PACKAGES = ("featkd", "torch", "av", "numpy", "tensorstore")
_CPU_FILE = Path("/proc/cpuinfo")


def describe_machine(workspace: Workspace) -> dict[str, dict[str, object]]:
    """Versions, threads and machine, as JSON can hold them."""
    return {
        "versions": {
            "python": platform.python_version(),
            **{package: version(package) for package in _PACKAGES},
        },
        "threads": {
            "torch": torch.get_num_threads(),
            "decoding": workspace.recipe.loading.num_workers,
        },
        "machine": {
            "device": _device_name(workspace.device),
            "processor": _processor_name(),
            "cpus": os.cpu_count(),
            "system": platform.platform(terse=True),
        },
    }


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)


def _processor_name() -> str:
    """The model's name where the system tells it, else the architecture."""
    if _CPU_FILE.is_file():
        for line in _CPU_FILE.read_text().splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()
