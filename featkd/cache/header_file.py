"""The file ``featkd.json``: read when it has changed, replaced atomically."""

from pathlib import Path

from pydantic import ValidationError

from featkd.cache.spec import CacheHeader
from featkd.durable import replace_file
from featkd.errors import CacheError

HEADER_NAME = "featkd.json"


class HeaderFile:
    """The header of a cache on disk.

    Args:
        cache: folder of the cache.
    """

    def __init__(self, cache: Path) -> None:
        self._cache = cache
        self._path = cache / HEADER_NAME
        self._header: CacheHeader | None = None
        self._version: tuple[int, int] | None = None

    def current(self) -> CacheHeader:
        """What the file says now; it is read again only when it has been replaced.

        Raises:
            CacheError: there is no such file, it is damaged, or of an unknown format.
        """
        try:
            # The version first: if the file is replaced in between, it is read once too often.
            status = self._path.stat()
            version = (status.st_ino, status.st_mtime_ns)
            if self._header is None or version != self._version:
                self._header = CacheHeader.model_validate_json(self._path.read_bytes())
                self._version = version
        except FileNotFoundError as error:
            raise CacheError(
                f"{self._cache} is not a cache: it has no {HEADER_NAME}; "
                "make one first: run featkd extract"
            ) from error
        except OSError as error:
            raise CacheError(f"{self._path} cannot be read: {error}") from error
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(str(part) for part in first["loc"]) or "content"
            raise CacheError(f"{self._path}: {field}: {first['msg']}") from error
        return self._header

    def replace(self, header: CacheHeader) -> None:
        """Write another header."""
        replace_file(self._path, header.model_dump_json(indent=1).encode())
