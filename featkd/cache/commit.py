"""Commit records: what makes a written part count."""

from typing import Literal

from featkd.cache.codec_error import CodecError
from featkd.cache.spec import FORMAT
from featkd.types import Spec


class FileDigest(Spec):
    """Size and SHA-256 of a stored file."""

    sha256: str
    num_bytes: int


class Commit(Spec):
    """The record that makes a written part count.

    Rows are in [start_row, stop_row). ``failures`` maps a row to the reason why it has no data;
    every other row is ok. ``files`` maps a file, relative to the cache, to its digest. ``seconds``
    maps a stage of the work to the time it took, ``codec_errors`` an array to what its number
    format did to the first rows of the part.
    """

    format: Literal["featkd-cache/2"] = FORMAT
    layer: str
    part: int
    start_row: int
    stop_row: int
    failures: dict[int, str]
    files: dict[str, FileDigest]
    seconds: dict[str, float]
    codec_errors: dict[str, CodecError]
