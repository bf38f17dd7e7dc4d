"""Writing the videos of a dataset that are not there yet, several at a time."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol, TypeVar, runtime_checkable

from featkd.types import Progress


@runtime_checkable
class Slot(Protocol):
    """One video that the settings of a dataset ask for."""

    @property
    def path(self) -> str:
        """Its file, relative to the dataset's folder."""


AnySlot = TypeVar("AnySlot", bound=Slot)


def write_missing(
    slots: Sequence[AnySlot],
    folder: Path,
    write: Callable[[AnySlot, Path], None],
    progress: Progress,
    num_workers: int,
) -> None:
    """Write every video whose file does not exist; when interrupted, finish those in hand.

    Args:
        slots: all videos of the dataset.
        folder: of the dataset; folders below it are made.
        write: makes the file of a video, wholly or not at all.
        progress: shows the work.
        num_workers: threads that draw and encode.
    """
    for parent in {(folder / slot.path).parent for slot in slots}:
        parent.mkdir(parents=True, exist_ok=True)
    missing = [slot for slot in slots if not (folder / slot.path).exists()]
    pool = ThreadPoolExecutor(num_workers)
    try:
        written = progress.track(
            pool.map(write, missing, [folder / slot.path for slot in missing]),
            description="Synthesising",
            total=len(slots),
            unit="videos",
            done=len(slots) - len(missing),
        )
        for _ in written:
            pass
    finally:
        # Where the work is interrupted, no video is begun any more.
        pool.shutdown(cancel_futures=True)
