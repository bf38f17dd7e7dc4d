"""On what a measurement was made."""

import os
import platform
from importlib.metadata import version
from pathlib import Path

import torch

_PACKAGES = ("featkd", "torch", "av", "numpy", "pandas", "pyarrow", "tensorstore")
_CPU_FILE = Path("/proc/cpuinfo")


def describe_machine(device: torch.device) -> dict[str, dict[str, object]]:
    """Versions and machine, as JSON can hold them.

    Args:
        device: where networks ran.
    """
    return {
        "versions": {
            "python": platform.python_version(),
            **{package: version(package) for package in _PACKAGES},
        },
        "machine": {
            "device": _device_name(device),
            "processor": _processor_name(),
            "cpus": os.cpu_count(),
            "torch_threads": torch.get_num_threads(),
            "system": f"{platform.system()} {platform.machine()}",
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
