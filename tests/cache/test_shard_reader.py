import gzip
import os
import struct
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import google_crc32c
import numpy as np
import pyarrow as pa
import pytest
import tensorstore as ts
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numcodecs import blosc, zstd

from featkd.cache import shard_reader
from featkd.cache.part_layout import PartLayout
from featkd.cache.shard_reader import ShardedArray, ShardReader
from featkd.cache.spec import Compression, StoredArray
from featkd.cache.zarr_files import ZarrFiles

# Parts of 4, 4 and 2 rows, two numbers unused, a part of 3 rows.
LAYOUT = PartLayout(4, (10, 3))
ROWS = LAYOUT.row_numbers().tolist()
COMPRESSIONS: list[Compression] = ["lz4", "zstd", "gzip", "none"]
# Shards of one chunk, of two chunks of two rows, of a chunk a row.
SHAPES = [(), (3,), (2, 3, 4), (25_000,), (300, 90)]

FORKED = """
import os
import sys
import threading
from pathlib import Path

import numpy as np

from featkd.cache import shard_reader
from featkd.cache.shard_reader import ShardedArray, ShardReader
from featkd.cache.spec import StoredArray

array = StoredArray("maps", (300, 90), "float32", "lz4")
source = ShardedArray.of(Path(sys.argv[1]), array, 4)
expected = np.load(sys.argv[2])
shard_reader._MIN_BYTES_PER_THREAD = 1
shard_reader._num_threads = lambda: 3
reader = ShardReader(max_open=2)
rows = [12, 0, 7, 7, 1, 9, 4, 13]

def read():
    target = np.empty((len(rows), *array.shape), array.dtype)
    reader.read_rows(source, rows, target)
    assert np.array_equal(target, expected[rows])

def keep_reading():
    while not stopped.is_set():
        read()

stopped = threading.Event()
others = [threading.Thread(target=keep_reading) for _ in range(2)]
for thread in others:
    thread.start()
for _ in range(5):
    child = os.fork()
    if child == 0:
        read()
        read()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert status == 0, status
stopped.set()
for thread in others:
    thread.join()
read()
"""


def _array(shape=(3,), dtype="float32", compression: Compression = "lz4") -> StoredArray:
    return StoredArray("maps", shape, dtype, compression)


def _random_values(array: StoredArray, seed: int = 0) -> np.ndarray:
    """Half zeros, half any bits there are, NaN among them; (capacity, ...)."""
    generator = np.random.default_rng(seed)
    values = np.frombuffer(generator.bytes(LAYOUT.capacity * array.row_bytes), array.dtype).copy()
    values[generator.random(len(values)) < 0.5] = 0
    return values.reshape(LAYOUT.capacity, *array.shape)


def _write(files: ZarrFiles, array: StoredArray, values: np.ndarray) -> ShardedArray:
    files.create(array)
    for part in range(LAYOUT.num_parts):
        span = LAYOUT.part_range(part)
        files.write_part(array, part, values[span.start : span.stop])
    return _source(files, array)


def _source(files: ZarrFiles, array: StoredArray) -> ShardedArray:
    return ShardedArray.of(files.part_file(array, 0).parent, array, LAYOUT.part_rows)


def _read(reader: ShardReader, source: ShardedArray, rows: list[int]) -> np.ndarray:
    # What is not written would show.
    target = np.full((len(rows), *source.array.shape), 77, dtype=source.array.dtype)
    reader.read_rows(source, rows, target)
    return target


def _sealed(content: bytes) -> bytes:
    return content + google_crc32c.value(content).to_bytes(4, "little")


@pytest.fixture
def files(tmp_path: Path) -> Iterator[ZarrFiles]:
    files = ZarrFiles(tmp_path, LAYOUT)
    files.arrange(LAYOUT, [])
    yield files
    files.close()


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several threads for however little, on however few cores."""
    monkeypatch.setattr(shard_reader, "_MIN_BYTES_PER_THREAD", 1)
    monkeypatch.setattr(shard_reader, "_num_threads", lambda: 3)


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("shape", SHAPES)
def test_read_rows__as_tensorstore_and_zarr_python(files, shape, compression):
    array = _array(shape, "float16" if len(shape) == 3 else "float32", compression)
    values = _random_values(array)
    source = _write(files, array, values)
    found = _read(ShardReader(), source, ROWS)
    assert found.tobytes() == values[ROWS].tobytes()
    kvstore = {"driver": "file", "path": f"{source.folder}/"}
    other = ts.open({"driver": "zarr3", "kvstore": kvstore}, open=True).result()
    assert found.tobytes() == np.ascontiguousarray(other[ROWS].read().result()).tobytes()
    assert found.tobytes() == zarr.open_array(source.folder, mode="r")[:][ROWS].tobytes()


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_read_rows__in_any_order(files, threads, data):
    array = _array(
        data.draw(st.sampled_from(SHAPES), label="shape"),
        data.draw(st.sampled_from(["float16", "uint8", "int64"]), label="dtype"),
        data.draw(st.sampled_from(COMPRESSIONS), label="compression"),
    )
    rows = data.draw(st.lists(st.sampled_from(ROWS), min_size=1, max_size=20), label="rows")
    values = _random_values(array, seed=len(rows))
    source = _write(files, array, values)
    assert _read(ShardReader(), source, rows).tobytes() == values[rows].tobytes()


def test_read_rows__into_a_part_of_a_larger_array(files):
    array = _array((300, 90))
    values = _random_values(array)
    source = _write(files, array, values)
    target = np.zeros((6, *array.shape), array.dtype)
    ShardReader().read_rows(source, [5, 4], target[2:4])
    assert target[2:4].tobytes() == values[[5, 4]].tobytes()
    assert not target[:2].any()
    assert not target[4:].any()


def test_read_rows__in_the_byte_order_of_the_target(files):
    array = _array(dtype="int64")
    values = _random_values(array)
    source = _write(files, array, values)
    target = np.empty((2, *array.shape), dtype=">i8")
    ShardReader().read_rows(source, [9, 1], target)
    assert np.array_equal(target, values[[9, 1]])


def test_read_rows__refuses_targets_that_are_not_contiguous(files):
    source = _write(files, _array(), _random_values(_array()))
    with pytest.raises(ValueError, match=r"strides .*; expected a contiguous array"):
        ShardReader().read_rows(source, [0, 1], np.empty((2, 6), np.float32)[:, ::2])


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_read_rows__every_flipped_byte_is_refused(files, compression):
    array = _array(compression=compression)
    source = _write(files, array, _random_values(array))
    path = files.part_file(array, 1)
    content = path.read_bytes()
    assert len(content) < 150
    for position in range(len(content)):
        for bits in (1, 0x80, 0xFF):
            spoilt = bytearray(content)
            spoilt[position] ^= bits
            path.write_bytes(spoilt)
            with pytest.raises(ValueError, match=str(path)):
                _read(ShardReader(), source, [4, 5, 6, 7])


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_read_rows__every_other_length_is_refused(files, compression):
    array = _array(compression=compression)
    source = _write(files, array, _random_values(array))
    path = files.part_file(array, 1)
    content = path.read_bytes()
    for length in range(len(content)):
        path.write_bytes(content[:length])
        with pytest.raises(ValueError, match=str(path)):
            _read(ShardReader(), source, [5])
    path.write_bytes(content + bytes(3))
    with pytest.raises(ValueError, match=str(path)):
        _read(ShardReader(), source, [5])


def test_read_rows__missing_shard(files):
    array = _array()
    source = _write(files, array, _random_values(array))
    reader = ShardReader()
    _read(reader, source, [5])
    files.part_file(array, 1).unlink()
    with pytest.raises(FileNotFoundError, match=r"c\.1\.0"):
        _read(reader, source, [0, 5])


@pytest.mark.parametrize(
    ("offset", "num_bytes", "problem"),
    [
        pytest.param(2**64 - 1, 2**64 - 1, "has no chunk 0", id="absent"),
        pytest.param(0, 53, "lies at 0 to 53", id="reaches into the index"),
        pytest.param(2**63, 2**63, "lies at", id="sum beyond 64 bits"),
        pytest.param(70, 4, "lies at 70", id="behind the end"),
        pytest.param(0, 0, "another CRC32C", id="empty"),
        pytest.param(0, 3, "another CRC32C", id="shorter than a CRC"),
        pytest.param(1, 51, "another CRC32C", id="elsewhere"),
    ],
)
def test_read_rows__index_that_points_elsewhere(files, offset, num_bytes, problem):
    array = _array(compression="none")
    source = _write(files, array, _random_values(array))
    path = files.part_file(array, 1)
    chunk = path.read_bytes()[:52]
    path.write_bytes(chunk + _sealed(struct.pack("<QQ", 0, 52)))
    _read(ShardReader(), source, [5])
    path.write_bytes(chunk + _sealed(struct.pack("<QQ", offset, num_bytes)))
    with pytest.raises(ValueError, match=problem):
        _read(ShardReader(), source, [5])


def _lz4(values: np.ndarray) -> bytes:
    return blosc.compress(values, b"lz4", 5, 0)


def _zstd_of_unstated_size(values: np.ndarray) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(values.tobytes())
    return sink.getvalue().to_pybytes()


def _with_stored_size(blob: bytes, num_bytes: int) -> bytes:
    return blob[:12] + struct.pack("<I", num_bytes) + blob[16:]


TWELVE = np.arange(12, dtype=np.float32)

WRONG_CHUNKS: dict[str, tuple[Compression, bytes, str]] = {
    "none, too short": ("none", bytes(47), "holds 47 bytes decompressed; expected 48"),
    "none, too long": ("none", bytes(49), "holds 49 bytes"),
    "lz4, too short": ("lz4", _lz4(TWELVE[:11]), "holds 44 bytes"),
    "lz4, too long": ("lz4", _lz4(np.zeros(13, np.float32)), "holds 52 bytes"),
    "lz4, no header": ("lz4", bytes(15), "has 15 bytes; expected a Blosc header"),
    "lz4, cut off": ("lz4", _lz4(TWELVE)[:-1], "its Blosc header says"),
    "lz4, said to be longer": ("lz4", _with_stored_size(_lz4(TWELVE), 2**31), "header says"),
    "lz4, header alone": (
        "lz4", _with_stored_size(_lz4(np.zeros(12, np.float32))[:16], 16),
        "cannot be decompressed by lz4",
    ),
    "zstd, too short": ("zstd", zstd.compress(TWELVE[:11]), "holds 44 bytes"),
    "zstd, too long": ("zstd", zstd.compress(np.zeros(999)), "holds 7992 bytes"),
    "zstd, size unstated": ("zstd", _zstd_of_unstated_size(TWELVE), "holds 0 bytes"),
    "zstd, cut off": ("zstd", zstd.compress(TWELVE)[:-1], "cannot be decompressed by zstd"),
    "zstd, another magic number": ("zstd", bytes(60), "holds 0 bytes"),
    "zstd, empty": ("zstd", b"", "holds 0 bytes"),
    "zstd, and more": ("zstd", zstd.compress(TWELVE) + bytes(9), "cannot be decompressed by zstd"),
    "gzip, too short": ("gzip", gzip.compress(TWELVE[:11].tobytes()), "holds 44 bytes"),
    "gzip, too long": ("gzip", gzip.compress(np.zeros(999).tobytes()), "holds 49 bytes"),
    "gzip, cut off": ("gzip", gzip.compress(TWELVE.tobytes())[:-1], "not one whole gzip stream"),
    "gzip, and more": ("gzip", gzip.compress(TWELVE.tobytes()) + b"0", "not one whole gzip stream"),
    "gzip, no header": ("gzip", bytes(40), "cannot be decompressed by gzip"),
}  # fmt: skip


@pytest.mark.parametrize(
    ("compression", "chunk", "problem"), WRONG_CHUNKS.values(), ids=WRONG_CHUNKS
)
def test_read_rows__chunk_that_is_sealed_but_wrong(tmp_path, compression, chunk, problem):
    source = ShardedArray.of(tmp_path, _array(compression=compression), LAYOUT.part_rows)
    sealed = _sealed(chunk)
    Path(source.shard_path(1)).write_bytes(sealed + _sealed(struct.pack("<QQ", 0, len(sealed))))
    with pytest.raises(ValueError, match=rf"c\.1\.0: chunk 0 is damaged: .*{problem}"):
        _read(ShardReader(), source, [6])


@pytest.mark.parametrize("size", [1, 48, 254, 255, 256, 257, 65_791, 65_792, 70_000])
def test_read_rows__zstd_of_every_kind_of_size(files, size):
    array = _array((size,), "uint8", "zstd")
    values = _random_values(array)
    source = _write(files, array, values)
    assert np.array_equal(_read(ShardReader(), source, [9, 0]), values[[9, 0]])


def test_read_rows__whole_batch_is_announced_before_the_first_chunk_is_read(files, monkeypatch):
    calls = []
    pread = os.pread
    source = _write(files, _array((300, 90)), _random_values(_array((300, 90))))
    reader = ShardReader()
    _read(reader, source, ROWS)  # the indices are known from here on

    def announce(descriptor: int, offset: int, num_bytes: int, advice: int) -> None:
        assert advice == os.POSIX_FADV_WILLNEED
        calls.append(("announced", os.fstat(descriptor).st_ino, offset, num_bytes))

    def read(descriptor: int, num_bytes: int, offset: int) -> bytes:
        calls.append(("read", os.fstat(descriptor).st_ino, offset, num_bytes))
        return pread(descriptor, num_bytes, offset)

    monkeypatch.setattr(os, "posix_fadvise", announce)
    monkeypatch.setattr(os, "pread", read)
    _read(reader, source, [5, 0, 12, 5])
    assert [kind for kind, *_ in calls] == ["announced"] * 3 + ["read"] * 3
    assert sorted(where for _, *where in calls[:3]) == sorted(where for _, *where in calls[3:])


def test_read_rows__where_nothing_can_be_announced(files, monkeypatch):
    monkeypatch.delattr(os, "posix_fadvise")
    values = _random_values(_array())
    source = _write(files, _array(), values)
    assert _read(ShardReader(), source, ROWS).tobytes() == values[ROWS].tobytes()


def test_read_rows__shard_that_was_replaced(files):
    array = _array(compression="none")
    first, second = (_random_values(array, seed) for seed in range(2))
    source = _write(files, array, first)
    reader, target = ShardReader(), np.empty((1, *array.shape), array.dtype)
    for values in (first, second, first):
        files.write_part(array, 1, values[4:8])
        files.read_rows(array, [6], target)
        assert target.tobytes() == values[6].tobytes()
        # Written by somebody else, as far as this reader knows.
        assert _read(reader, source, [6]).tobytes() == values[6].tobytes()


def test_read_rows__damage_is_told_by_whichever_thread_finds_it(files, threads):
    array = _array((300, 90))
    values = _random_values(array)
    source = _write(files, array, values)
    path = files.part_file(array, 1)
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(content)
    reader = ShardReader()
    sound = [row for row in ROWS if row != 4]
    for index in range(len(sound) + 1):
        with pytest.raises(ValueError, match=f"{path}: chunk 0 is damaged"):
            _read(reader, source, [*sound[:index], 4, *sound[index:]])
    assert _read(reader, source, sound).tobytes() == values[sound].tobytes()


def test_read_rows__does_not_wait_for_helpers_that_are_busy(files, threads):
    array = _array((300, 90))
    values = _random_values(array)
    source = _write(files, array, values)
    free = threading.Event()
    try:
        for _ in range(8):
            shard_reader._helpers(shard_reader.os.getpid()).submit(free.wait)
        assert _read(ShardReader(), source, ROWS).tobytes() == values[ROWS].tobytes()
    finally:
        free.set()


def _open_files(folder: Path) -> int:
    links = Path("/proc/self/fd")
    if not links.is_dir():
        pytest.skip("the system does not list open files")
    return sum(str(folder) in str(link.resolve()) for link in links.iterdir())


@pytest.mark.parametrize("max_open", [1, 2, 64])
def test_read_rows__threads_share_few_descriptors(files, tmp_path, threads, max_open):
    array = _array((300, 90), compression="zstd")
    values = _random_values(array)
    source = _write(files, array, values)
    reader = ShardReader(max_open)
    batches = np.random.default_rng(0).choice(ROWS, (60, 6)).tolist()
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda rows: _read(reader, source, rows), batches))
    for rows, read in zip(batches, found, strict=True):
        assert read.tobytes() == values[rows].tobytes()
    assert _open_files(tmp_path) == min(max_open, LAYOUT.num_parts)
    reader.close()
    assert _open_files(tmp_path) == 0
    assert _read(reader, source, [0]).tobytes() == values[0].tobytes()


def test_reader__that_nobody_closed_leaves_no_descriptor(files, tmp_path):
    source = _write(files, _array(), _random_values(_array()))
    reader = ShardReader()
    _read(reader, source, ROWS)
    assert _open_files(tmp_path) == LAYOUT.num_parts
    del reader
    assert _open_files(tmp_path) == 0


def test_read_rows__in_children_forked_while_others_read(
    files, tmp_path, run_script: Callable[..., object]
):
    array = _array((300, 90))
    values = np.random.default_rng(0).random((LAYOUT.capacity, *array.shape), dtype=np.float32)
    source = _write(files, array, values)
    np.save(tmp_path / "expected.npy", values)
    result = run_script(FORKED, source.folder, tmp_path / "expected.npy")
    assert result.returncode == 0, result.stderr


IMPORTS_NOTHING = """
import sys
from pathlib import Path

import numpy as np

from featkd.cache.shard_reader import ShardedArray, ShardReader
from featkd.cache.spec import StoredArray

array = StoredArray("maps", (3,), "float32", sys.argv[2])
loaded = set(sys.modules)
target = np.empty((2, 3), np.float32)
ShardReader().read_rows(ShardedArray.of(Path(sys.argv[1]), array, 4), [0, 9], target)
print(sorted(set(sys.modules) - loaded))
"""


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_read_rows__imports_nothing(files, run_script: Callable[..., object], compression):
    """A child forked while another thread imports would wait for that import for ever."""
    array = _array(compression=compression)
    source = _write(files, array, _random_values(array))
    result = run_script(IMPORTS_NOTHING, source.folder, compression)
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == "[]"
