"""The logits of every step of a training, kept for students that replay it."""

import io
import math
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float
from torch import Tensor

from featkd.durable import sync_folder
from featkd.errors import CheckpointError

TRAJECTORY_FILE = "trajectory.npy"
"""In a run folder; what `LogitRecorder` writes."""


class LogitRecorder:
    """Collects the logits of an epoch and writes them where it ends, before its checkpoint.

    The file is a NumPy array of float16, (num_visits, num_views, num_clips, K): epoch e, from 1,
    shows view ``(e - 1) % num_views`` of every clip for visit ``(e - 1) // num_views``. What no
    step learned from is NaN. An epoch that is done again writes the same bytes again.

    Args:
        path: of the file.
        num_epochs: of the training.
        num_views: views of a clip that epochs take turns to show.
        num_clips: clips of the split, those that are not trained on included.
    """

    def __init__(self, path: Path, *, num_epochs: int, num_views: int, num_clips: int) -> None:
        self.path = path
        self._shape = math.ceil(num_epochs / num_views), num_views, num_clips
        self._steps: list[tuple[list[int], np.ndarray]] = []

    def add(self, samples: Sequence[int], logits: Float[Tensor, "batch classes"]) -> None:
        """Keep the logits of a step.

        Args:
            samples: position of each clip in the split.
            logits: of the step's forward pass.
        """
        self._steps.append((list(samples), logits.detach().half().cpu().numpy()))

    def end_epoch(self, epoch: int) -> None:
        """Put the logits of an epoch, from 1, onto the disk. The first epoch makes the file.

        Raises:
            OSError: it cannot be written; names the file.
            CheckpointError: it does not hold the epochs before this one.
        """
        num_visits, num_views, num_clips = self._shape
        num_classes = self._steps[0][1].shape[1]
        header = _npy_header((num_visits, num_views, num_clips, num_classes))
        values = np.full((num_clips, num_classes), np.nan, dtype="<f2")
        num_bytes = len(header) + num_visits * num_views * values.nbytes
        try:
            if epoch == 1:
                self._create(header, values.tobytes(), num_visits * num_views)
            elif not self.path.is_file() or self.path.stat().st_size != num_bytes:
                raise CheckpointError(
                    f"{self.path} is missing or not of {num_bytes} bytes, although epoch "
                    f"{epoch - 1} is done; delete its folder to start this run again"
                )
            for samples, logits in self._steps:
                values[samples] = logits
            self._write(values.tobytes(), len(header) + (epoch - 1) * values.nbytes)
        except OSError as error:
            error.filename = str(self.path)  # the system names no file when the disk is full
            raise
        self._steps = []

    def _create(self, header: bytes, blank: bytes, num_epochs: int) -> None:
        """Take the room for all epochs, so that a full disk shows before they are trained."""
        with self.path.open("wb") as file:
            file.write(header)
            for _ in range(num_epochs):
                file.write(blank)
        sync_folder(self.path.parent)

    def _write(self, content: bytes, position: int) -> None:
        with self.path.open("r+b") as file:
            file.seek(position)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())


def _npy_header(shape: tuple[int, ...]) -> bytes:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "<f2", "fortran_order": False, "shape": shape}
    )
    return header.getvalue()
