"""Commit records on disk: one small JSON file per part, written last and atomically."""

import re
from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from featkd.cache.spec import Commit
from featkd.durable import make_folder, replace_file
from featkd.errors import CacheError

_RECORD = re.compile(r"(\d{6,})\.json")


class CommitLog:
    """The commit records of one layer.

    Records never change once written, so each is read once. What is not known yet is looked for
    again at every call, so that a reader sees what a writer has committed meanwhile.

    Args:
        folder: where the records lie; need not exist yet.
        layer: name of the layer.
        num_rows: rows of the cache.
        part_rows: rows of a part.
    """

    def __init__(self, folder: Path, *, layer: str, num_rows: int, part_rows: int) -> None:
        self._folder = folder
        self._layer = layer
        self._num_rows = num_rows
        self._part_rows = part_rows
        self._known: dict[int, Commit] = {}

    def find(self, part: int) -> Commit | None:
        """The record of a part, or None where there is none now.

        Raises:
            CacheError: the record is damaged.
        """
        if part not in self._known:
            path = self._path(part)
            try:
                content = path.read_bytes()
            except FileNotFoundError:
                return None
            except OSError as error:
                raise CacheError(f"{path} cannot be read: {error}") from error
            self._known[part] = self._parse(path, part, content)
        return self._known[part]

    def scan(self) -> Mapping[int, Commit]:
        """Every record there is now, by part. Unfinished temporary files are passed over.

        Raises:
            CacheError: a record is damaged.
        """
        if self._folder.is_dir():
            for path in self._folder.iterdir():
                if match := _RECORD.fullmatch(path.name):
                    self.find(int(match[1]))
        return dict(self._known)

    def append(self, commit: Commit) -> None:
        """Write a record."""
        make_folder(self._folder)
        replace_file(self._path(commit.part), commit.model_dump_json(indent=1).encode())
        self._known[commit.part] = commit

    def _path(self, part: int) -> Path:
        return self._folder / f"{part:06d}.json"

    def _parse(self, path: Path, part: int, content: bytes) -> Commit:
        remedy = "delete this file and run the command that writes the layer again"
        try:
            commit = Commit.model_validate_json(content)
        except ValidationError as error:
            first = error.errors()[0]
            raise CacheError(
                f"commit record {path} is damaged: {first['msg']}; {remedy}"
            ) from error
        start = part * self._part_rows
        expected = (self._layer, part, start, min(start + self._part_rows, self._num_rows))
        found = (commit.layer, commit.part, commit.start_row, commit.stop_row)
        if found != expected:
            raise CacheError(
                f"commit record {path} is of layer, part, start_row, stop_row {found}; "
                f"expected {expected}; {remedy}"
            )
        return commit
