"""Notes what reading videos showed, so that an interrupted reading goes on where it stopped."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from featkd.errors import ManifestError
from featkd.manifest.facts import Facts, Stretch
from featkd.video.container import decoder_version

_FORMAT = "featkd-facts/1"


class FactsJournal:
    """A file of JSON lines: the first says what holds for all, each further one tells of a file.

    A line counts if it is whole and the file has the size and the time of change that the line
    says. A journal of another root or another decoder counts for nothing and begins anew.

    Args:
        path: the journal.
        root: folder of the videos.

    Raises:
        ManifestError: it cannot be written.
    """

    def __init__(self, path: Path, root: Path) -> None:
        self.path = path
        self._root = root
        header = {
            "format": _FORMAT,
            "root": str(root.resolve()),
            "decoder": decoder_version(),
        }
        self._noted: dict[str, tuple[object, tuple[Facts, ...]]] = {}
        first = json.dumps(header).encode() + b"\n"
        try:
            whole = self._load(path.read_bytes() if path.exists() else b"", first)
            self._file = path.open("ab")
            self._file.truncate(whole)
            if not whole:
                self._file.write(first)
                self._file.flush()
        except OSError as error:
            raise ManifestError(
                f"{path}, where finished videos are noted, cannot be written: "
                f"{error.strerror or error}"
            ) from error

    def close(self) -> None:
        """Close the file; what it holds stays."""
        self._file.close()

    def still_true(
        self, stretches: Mapping[str, Sequence[Stretch]]
    ) -> dict[str, tuple[Facts, ...]]:
        """The facts of those files that were noted, and have not changed since."""
        known = {}
        for path, wanted in stretches.items():
            noted = self._noted.get(path)
            if noted is not None and noted[0] == self.mark(path, wanted):
                known[path] = noted[1]
        return known

    def mark(self, path: str, stretches: Sequence[Stretch]) -> object:
        """What must be equal for a note to count: size, time of change, stretches.

        None where there is no file; that is found out anew each time.
        """
        try:
            status = (self._root / path).stat()
        except OSError:
            return None
        return [status.st_size, status.st_mtime_ns, [list(stretch) for stretch in stretches]]

    def note(self, path: str, mark: object, facts: Sequence[Facts]) -> None:
        """Keep what reading a file showed.

        Args:
            path: the file, relative to the root.
            mark: its `mark` before it was read; where that is None, nothing is kept.
            facts: one for each of its stretches.

        Raises:
            ManifestError: the journal cannot be written.
        """
        if mark is None:
            return
        line = json.dumps([path, mark, [asdict(fact) for fact in facts]])
        try:
            self._file.write(line.encode() + b"\n")
            self._file.flush()
        except OSError as error:
            raise ManifestError(
                f"{self.path} cannot be written: {error.strerror or error}"
            ) from error

    def remove(self) -> None:
        """Delete the journal: all is read."""
        self._file.close()
        self.path.unlink(missing_ok=True)

    def _load(self, content: bytes, first: bytes) -> int:
        """Take the whole lines of a journal; the number of bytes that they fill."""
        if not content.startswith(first):
            return 0
        whole = content.rfind(b"\n") + 1
        for line in content[len(first) : whole].splitlines():
            try:
                path, mark, facts = json.loads(line)
                self._noted[path] = (mark, tuple(Facts(**fact) for fact in facts))
            except (ValueError, TypeError):
                continue  # torn by a crash of the system: the file is read again
        return whole
