"""A chunk of a Zarr shard as it lies on disk: values, compressed, with their CRC32C behind them.

The sizes that a chunk states are compared with the expected ones before it is decompressed, and
nothing is ever written beyond the caller's buffer.
"""

import struct
import zlib
from collections.abc import Callable, Mapping
from typing import Final

import google_crc32c
import numpy as np
from numcodecs import blosc, zstd

from featkd.cache.spec import Compression

CRC32C_BYTES: Final = 4

# Threads of Blosc's own would not survive a fork; the reader's threads decode whole chunks instead.
blosc.use_threads = False
# Its first call imports modules. A child forked in the middle of that would wait for it for ever.
blosc.compress(bytes(1), b"lz4", 1)

_CRC32C_OF_SEALED: Final = 0x48674BC7
_BLOSC_SIZES = struct.Struct("<4xIII")
_ZSTD_MAGIC: Final = 0xFD2FB528
_GZIP_WINDOW_BITS: Final = 31


def is_sealed(content: bytes) -> bool:
    """Whether bytes end in the CRC32C (RFC 3720, little endian) of what is before it.

    The CRC32C of such bytes, taken over all of them, is one and the same number.
    """
    return len(content) >= CRC32C_BYTES and google_crc32c.value(content) == _CRC32C_OF_SEALED


def decode_chunk(content: bytes, compression: Compression, target: np.ndarray) -> None:
    """Check a chunk and decompress it.

    Args:
        content: the chunk as it is stored, its CRC32C included.
        compression: of the chunk.
        target: (bytes of the decompressed chunk,), uint8, contiguous; written.

    Raises:
        ValueError: the CRC32C is wrong, or the chunk is not what is expected.
    """
    if not is_sealed(content):
        raise ValueError("it has another CRC32C than the one stored behind it")
    try:
        _DECOMPRESS[compression](memoryview(content)[:-CRC32C_BYTES], target)
    except (RuntimeError, zlib.error) as error:
        raise ValueError(f"it cannot be decompressed by {compression}: {error}") from error


def _copy(stored: memoryview, target: np.ndarray) -> None:
    _require_size(len(stored), target)
    target[:] = np.frombuffer(stored, dtype=np.uint8)


def _from_blosc(stored: memoryview, target: np.ndarray) -> None:
    if len(stored) < blosc.MAX_OVERHEAD:
        raise ValueError(f"it has {len(stored)} bytes; expected a Blosc header")
    num_bytes, _, stored_bytes = _BLOSC_SIZES.unpack_from(stored)
    _require_size(num_bytes, target)
    if stored_bytes != len(stored):
        raise ValueError(f"it has {len(stored)} bytes; its Blosc header says {stored_bytes}")
    blosc.decompress(stored, target)


def _from_zstd(stored: memoryview, target: np.ndarray) -> None:
    _require_size(_zstd_size(stored), target)
    zstd.decompress(stored, target)


def _from_gzip(stored: memoryview, target: np.ndarray) -> None:
    decompressor = zlib.decompressobj(_GZIP_WINDOW_BITS)
    values = decompressor.decompress(stored, target.nbytes + 1)
    _require_size(len(values), target)
    if not decompressor.eof or decompressor.unused_data:
        raise ValueError("it is not one whole gzip stream")
    target[:] = np.frombuffer(values, dtype=np.uint8)


_DECOMPRESS: Mapping[Compression, Callable[[memoryview, np.ndarray], None]] = {
    "none": _copy,
    "lz4": _from_blosc,
    "zstd": _from_zstd,
    "gzip": _from_gzip,
}


def _zstd_size(stored: memoryview) -> int:
    """Bytes that a frame says it decompresses to (RFC 8878, 3.1.1.1); 0 where it does not say."""
    # Magic number and descriptor, at most 1 byte of window, 4 of dictionary and 8 of size.
    header = int.from_bytes(stored[:18], "little")
    descriptor = header >> 32 & 0xFF
    is_single_segment = descriptor >> 5 & 1
    size_bytes = (is_single_segment, 2, 4, 8)[descriptor >> 6]
    start = 5 + (1 - is_single_segment) + (0, 1, 2, 4)[descriptor & 3]
    if header & 0xFFFFFFFF != _ZSTD_MAGIC or len(stored) < start + size_bytes or not size_bytes:
        return 0
    size = header >> 8 * start & (1 << 8 * size_bytes) - 1
    return size + 256 if size_bytes == 2 else size


def _require_size(num_bytes: int, target: np.ndarray) -> None:
    if num_bytes != target.nbytes:
        raise ValueError(f"it holds {num_bytes} bytes decompressed; expected {target.nbytes}")
