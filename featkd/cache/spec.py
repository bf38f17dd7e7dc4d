"""What a cache says about itself: its arrays, layers, commit records and header."""

import re
from typing import Final, Literal

import numpy as np
from pydantic import Field, field_validator

from featkd.cache.fingerprint import FingerprintValue
from featkd.types import Spec

FORMAT: Final = "featkd-cache/1"
DEFAULT_PART_ROWS = 64

ArrayDtype = Literal["float16", "float32", "float64", "uint8", "uint32", "int32", "int64"]

# Names become folders and nodes of a Zarr hierarchy, which reserves those that begin with "__".
_NAME = re.compile(r"(?!\.|__)[A-Za-z0-9_.\-]+")


def check_name(name: str, what: str) -> str:
    """Return a name that may be a file name on every file system.

    Raises:
        ValueError: it is not made of letters, digits and ``_ . -``, or begins with ``.`` or ``__``.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"{what} {name!r} cannot be used; expected letters, digits, '_', '.' and '-', "
            "with neither '.' nor '__' in front"
        )
    return name


class ArraySpec(Spec):
    """An array with one entry per row of the cache."""

    name: str
    """``logits``, ``features/<tap key>``, ``attention/<layer>`` or another path-like name."""
    shape: tuple[int, ...]
    """Shape of one row's entry; () for a scalar."""
    dtype: ArrayDtype

    @field_validator("name")
    @classmethod
    def _name_is_usable(cls, name: str) -> str:
        for segment in name.split("/"):
            check_name(segment, f"array name {name!r}: segment")
        return name

    @field_validator("shape")
    @classmethod
    def _shape_is_positive(cls, shape: tuple[int, ...]) -> tuple[int, ...]:
        if any(size < 1 for size in shape):
            raise ValueError(f"shape is {shape}; expected sizes of at least 1")
        return shape

    @property
    def row_bytes(self) -> int:
        """Bytes of one row's entry, before compression."""
        return int(np.prod(self.shape, dtype=np.int64)) * np.dtype(self.dtype).itemsize


class LayerSpec(Spec):
    """Arrays that are written together, and what they were made from."""

    arrays: tuple[ArraySpec, ...] = Field(min_length=1)
    fingerprint: dict[str, FingerprintValue]

    def array(self, name: str) -> ArraySpec:
        """The array of that name. Raises KeyError."""
        for array in self.arrays:
            if array.name == name:
                return array
        raise KeyError(name)


class ShardDigest(Spec):
    """Size and SHA-256 of the stored bytes of one array's share of a part."""

    sha256: str
    num_bytes: int


class Commit(Spec):
    """The record that makes a written part count.

    Rows are in [start_row, stop_row). ``failures`` maps a row to the reason why it has no data;
    every other row is ok. ``shards`` maps an array to the digest of its shard, ``seconds`` a stage
    of the work to the time it took.
    """

    format: Literal["featkd-cache/1"] = FORMAT
    layer: str
    part: int
    start_row: int
    stop_row: int
    failures: dict[int, str]
    shards: dict[str, ShardDigest]
    seconds: dict[str, float]


class CacheHeader(Spec):
    """The file ``featkd.json`` of a cache."""

    format: Literal["featkd-cache/1"] = FORMAT
    num_rows: int = Field(ge=1)
    part_rows: int = Field(ge=1)
    layers: dict[str, LayerSpec] = Field(default_factory=dict)
