"""The file ``featkd.json``: read when it has changed, replaced atomically, kept twice."""

import json
from pathlib import Path

from pydantic import ValidationError

from featkd.cache.sealed_json import seal, unseal
from featkd.cache.spec import FORMAT, CacheHeader
from featkd.durable import replace_file
from featkd.errors import CacheError

HEADER_NAME = "featkd.json"
COPY_NAME = "featkd.copy.json"


class HeaderFile:
    """The header of a cache on disk.

    Args:
        cache: folder of the cache.
    """

    name = HEADER_NAME

    def __init__(self, cache: Path) -> None:
        self._cache = cache
        self._path = cache / HEADER_NAME
        self._header: CacheHeader | None = None
        self._version: tuple[int, int, int] | None = None

    def current(self) -> CacheHeader:
        """What the file says now; it is read again only when it has been replaced.

        Raises:
            CacheError: there is no such file, it is damaged, or of an unknown format.
        """
        try:
            # The version first: if the file is replaced in between, it is read once too often.
            status = self._path.stat()
            version = (status.st_ino, status.st_mtime_ns, status.st_size)
            if self._header is None or version != self._version:
                self._header = self._parse(self._path.read_bytes())
                self._version = version
        except FileNotFoundError as error:
            raise CacheError(
                f"{self._cache} is not a cache: it has no {HEADER_NAME}; "
                "make one first: run featkd extract"
            ) from error
        except OSError as error:
            raise CacheError(f"{self._path} cannot be read: {error}") from error
        return self._header

    def replace(self, header: CacheHeader) -> None:
        """Write another header, then its copy, from which a damaged one can be restored."""
        content = seal(header.model_dump(mode="json"))
        replace_file(self._path, content)
        replace_file(self._cache / COPY_NAME, content)

    def renew_copy(self) -> None:
        """Write the copy anew where a writer was killed before it did."""
        copy, content = self._cache / COPY_NAME, self._path.read_bytes()
        if not copy.is_file() or copy.read_bytes() != content:
            replace_file(copy, content)

    def problems(self) -> list[tuple[str, str]]:
        """What is wrong with header and copy: file name and problem.

        Raises:
            CacheError: there is neither.
        """
        found = []
        contents = {}
        for name in (HEADER_NAME, COPY_NAME):
            path = self._cache / name
            try:
                contents[name] = path.read_bytes()
                self._parse(contents[name])
            except FileNotFoundError:
                found.append((name, "is missing"))
            except CacheError as error:
                found.append((name, str(error)))
        if not contents:
            self.current()
        if not found and contents[HEADER_NAME] != contents[COPY_NAME]:
            found.append((COPY_NAME, f"differs from {HEADER_NAME}"))
        return found

    def restore(self) -> None:
        """Make header and copy equal and sound again, from whichever is sound.

        Raises:
            CacheError: neither is.
        """
        damaged = {name for name, _ in self.problems()}
        if damaged >= {HEADER_NAME, COPY_NAME}:
            raise CacheError(
                f"{self._path} and {COPY_NAME} are both damaged; put one of them back from a "
                "backup or extract again"
            )
        if damaged:
            sound = COPY_NAME if HEADER_NAME in damaged else HEADER_NAME
            self.replace(self._parse((self._cache / sound).read_bytes()))

    def _parse(self, data: bytes) -> CacheHeader:
        found = _format_of(data)
        if found != FORMAT:
            raise CacheError(
                f"{self._path}: format is {found!r}; expected {FORMAT!r}, so extract it again "
                "or read it with the version of featkd that made it"
            )
        try:
            return CacheHeader.model_validate(unseal(data))
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(str(part) for part in first["loc"]) or "content"
            raise CacheError(f"{self._path}: {field}: {first['msg']}") from error
        except ValueError as error:
            raise CacheError(
                f"{self._path} is damaged: {error}; run featkd cache repair, which restores it "
                f"from {COPY_NAME}"
            ) from error


def _format_of(data: bytes) -> object:
    """The format a header claims; the one expected where it is too damaged to claim any."""
    try:
        content = json.loads(data)
    except ValueError:
        return FORMAT
    return content.get("format", FORMAT) if isinstance(content, dict) else FORMAT
