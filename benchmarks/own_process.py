"""Measuring in a fresh process, so that nothing before helps or harms."""

import multiprocessing
import resource
import sys
from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")


def in_own_process(work: Callable[..., Result], *arguments: object) -> Result:
    """Call a function in a fresh process.

    Its peak memory starts from its parent's, which must stay small where that is measured.
    """
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(work, arguments)


def peak_memory_mib() -> float:
    """Peak resident memory of this process so far, in MiB."""
    unit_bytes = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit_bytes / 2**20
