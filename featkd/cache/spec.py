"""What a cache says about itself: its arrays, layers, commit records and header."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from pydantic import Field, field_validator

from featkd.cache.fingerprint import FingerprintValue
from featkd.types import Spec

FORMAT: Final = "featkd-cache/2"
DEFAULT_PART_ROWS = 64

FeatureDtype = Literal[
    "float32", "float16", "bfloat16", "scaled_uint8", "float8_e4m3", "float8_e5m2"
]
"""Number formats that features can be kept in; see `featkd.cache.number_format`."""

ArrayDtype = Literal[
    "float32", "float16", "bfloat16", "scaled_uint8", "float8_e4m3", "float8_e5m2",
    "float64", "uint8", "uint32", "int32", "int64",
]  # fmt: skip
"""Number formats of arrays."""

INTEGER_DTYPES: Final = frozenset({"uint8", "uint32", "int32", "int64"})
"""The number formats that keep integers, as they are."""

Compression = Literal["zstd", "lz4", "gzip", "none"]
"""Lossless compression of chunks. A backend says what it makes of each name."""

Backend = Literal["zarr", "hdf5"]
"""What the arrays of a cache on disk are stored in."""

DEFAULT_COMPRESSION: Final[Mapping[Backend, Compression]] = {"zarr": "lz4", "hdf5": "gzip"}
"""lz4 is read fastest; gzip is what every reader of HDF5 knows."""

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
    """Number format."""
    compression: Compression = "lz4"
    """Of what is stored."""

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


@dataclass(frozen=True, slots=True)
class StoredArray:
    """An array as a backend holds it: plain numbers, one entry per row.

    Attributes:
        name: path-like, unique in the cache.
        shape: of one row's entry.
        dtype: NumPy's name of the number type.
        compression: of its chunks.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    compression: Compression

    @property
    def row_bytes(self) -> int:
        """Bytes of one row's entry, before compression."""
        return int(np.prod(self.shape, dtype=np.int64)) * np.dtype(self.dtype).itemsize


class LayerSpec(Spec):
    """Arrays that are written together, and what they were made from."""

    arrays: tuple[ArraySpec, ...]
    fingerprint: dict[str, FingerprintValue]


class RowBlock(Spec):
    """Rows that were added together, and the digest of the file that describes them."""

    num_rows: int = Field(ge=1)
    sha256: str


class CacheHeader(Spec):
    """The file ``featkd.json`` of a cache."""

    format: Literal["featkd-cache/2"] = FORMAT
    backend: Backend
    part_rows: int = Field(ge=1)
    blocks: tuple[RowBlock, ...] = Field(min_length=1)
    layers: dict[str, LayerSpec] = Field(default_factory=dict)
