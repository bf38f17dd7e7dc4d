"""Commit records on disk: one small JSON file per part, written last and atomically."""

import re
from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError

from featkd.cache.commit import Commit
from featkd.cache.part_layout import PartLayout
from featkd.cache.sealed_json import seal, unsealed
from featkd.durable import make_folder, replace_file, sync_folder
from featkd.errors import CacheError

_RECORD = re.compile(r"(\d{6,})\.json")


class CommitLog:
    """The commit records of one layer.

    A record that was asked for is read once. What is not known yet is looked for again at every
    call, so that a reader sees what a writer has committed meanwhile.

    Args:
        folder: where the records lie; need not exist yet.
        layer: name of the layer.
    """

    def __init__(self, folder: Path, *, layer: str) -> None:
        self._folder = folder
        self._layer = layer
        self._known: dict[int, Commit] = {}

    def find(self, part: int, layout: PartLayout) -> Commit | None:
        """The record of a part, or None where there is none now.

        Raises:
            CacheError: the record is damaged.
        """
        if part not in self._known:
            commit = self._load(part, layout)
            if commit is None:
                return None
            self._known[part] = commit
        return self._known[part]

    def parts(self) -> set[int]:
        """Parts that have a record now. Unfinished temporary files are passed over."""
        if not self._folder.is_dir():
            return set()
        names = (_RECORD.fullmatch(path.name) for path in self._folder.iterdir())
        return {int(match[1]) for match in names if match}

    def scan(self, layout: PartLayout) -> Iterator[Commit]:
        """Every record there is now, by rising part. They are not kept: there may be many.

        Raises:
            CacheError: a record is damaged.
        """
        for part in sorted(self.parts()):
            commit = self._known.get(part) or self._load(part, layout)
            if commit is not None:
                yield commit

    def append(self, commit: Commit) -> None:
        """Write a record."""
        make_folder(self._folder)
        replace_file(self.path(commit.part), seal(commit.model_dump(mode="json")))
        self._known[commit.part] = commit

    def remove(self, part: int) -> None:
        """Take a record back: from now on the part does not exist."""
        self._known.pop(part, None)
        self.path(part).unlink(missing_ok=True)
        sync_folder(self._folder)

    def path(self, part: int) -> Path:
        """File of a part's record."""
        return self._folder / f"{part:06d}.json"

    def _load(self, part: int, layout: PartLayout) -> Commit | None:
        path = self.path(part)
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise CacheError(f"{path} cannot be read: {error}") from error
        return self._parse(path, part, content, layout)

    def _parse(self, path: Path, part: int, content: bytes, layout: PartLayout) -> Commit:
        remedy = "run featkd cache repair, which writes this part again"
        try:
            commit = Commit.model_validate_json(unsealed(content))
        except ValidationError as error:
            first = error.errors()[0]
            raise CacheError(
                f"commit record {path} is damaged: {first['msg']}; {remedy}"
            ) from error
        except ValueError as error:
            raise CacheError(f"commit record {path} is damaged: {error}; {remedy}") from error
        rows = layout.part_range(part)
        expected = (self._layer, part, rows.start, rows.stop)
        found = (commit.layer, commit.part, commit.start_row, commit.stop_row)
        if found != expected:
            raise CacheError(
                f"commit record {path} is of layer, part, start_row, stop_row {found}; "
                f"expected {expected}; {remedy}"
            )
        return commit
