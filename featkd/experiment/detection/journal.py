"""Notes what was found in videos, so that an interrupted evaluation goes on where it stopped."""

import json
from pathlib import Path

import pandas as pd

from featkd.detection.predictions import PREDICTION_COLUMNS
from featkd.detection.whole_video import FoundActions

_FORMAT = "featkd-found/1"


class FoundJournal:
    """A file of JSON lines: the first says what holds for all, each further one tells of a video.

    A line counts if it is whole. A journal of other weights, settings or videos counts for nothing
    and begins anew.

    Args:
        path: the journal; its folder must exist.
        settings: all that what is found depends on.

    Attributes:
        found: by video, what the journal holds.

    Raises:
        OSError: it cannot be written.
    """

    def __init__(self, path: Path, settings: str) -> None:
        self._path = path
        self.found: dict[str, FoundActions] = {}
        first = json.dumps({"format": _FORMAT, "settings": settings}).encode() + b"\n"
        whole = self._load(path.read_bytes() if path.exists() else b"", first)
        self._file = path.open("ab")
        self._file.truncate(whole)
        if not whole:
            self._file.write(first)

    def note(self, found: FoundActions) -> None:
        """Keep what was found in a video.

        Raises:
            OSError: the journal cannot be written.
        """
        rows = found.predictions[list(PREDICTION_COLUMNS[1:])].to_numpy().tolist()
        self._file.write(json.dumps([found.video_id, rows, found.attention]).encode() + b"\n")
        self._file.flush()
        self.found[found.video_id] = found

    def close(self) -> None:
        """Close the file; what it holds stays."""
        self._file.close()

    def remove(self) -> None:
        """Delete the journal: what it held is kept elsewhere."""
        self._file.close()
        self._path.unlink(missing_ok=True)

    def _load(self, content: bytes, first: bytes) -> int:
        """Take the whole lines of a journal; the number of bytes that they fill."""
        if not content.startswith(first):
            return 0
        whole = content.rfind(b"\n") + 1
        for line in content[len(first) : whole].splitlines():
            try:
                video_id, rows, attention = json.loads(line)
                predictions = pd.DataFrame(
                    [(video_id, *row) for row in rows], columns=list(PREDICTION_COLUMNS)
                )
                moments = tuple((float(at), float(value)) for at, value in attention)
            except (ValueError, TypeError):
                continue  # torn by a crash of the system: the video is looked at again
            self.found[video_id] = FoundActions(video_id, predictions, moments)
        return whole
