import errno
import fcntl
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import h5py
import numpy as np
import pytest

from featkd.cache.hdf5_files import Hdf5Files
from featkd.cache.part_layout import PartLayout
from featkd.cache.spec import StoredArray
from featkd.durable import replace_file
from featkd.errors import CacheError

# Parts of 4, 4 and 2 rows, two numbers unused, a part of 3 rows.
LAYOUT = PartLayout(4, (10, 3))
ROWS = LAYOUT.row_numbers()
SHAPES = [(), (3,), (2, 3, 4), (300, 80)]
DTYPES = ["float16", "float32", "float64", "uint8", "uint16", "uint32", "int32", "int64"]
COMPRESSIONS = ["gzip", "none", "zstd", "lz4"]

PREAMBLE = """
import sys
from pathlib import Path

import numpy as np

from featkd.cache.hdf5_files import Hdf5Files
from featkd.cache.part_layout import PartLayout
from featkd.cache.spec import StoredArray

root = Path(sys.argv[1])
files = Hdf5Files(root, PartLayout(4, (10, 3)))
array = StoredArray("features/map.full", (3,), "float32", "gzip")
"""


def _array(name="features/map.full", shape=(3,), dtype="float32", compression="gzip"):
    return StoredArray(name, shape, dtype, compression)


def _random_values(array: StoredArray) -> np.ndarray:
    """Any bits there are, NaN among them; (capacity, ...)."""
    generator = np.random.default_rng(7)
    num_bytes = LAYOUT.capacity * array.row_bytes
    values = np.frombuffer(generator.bytes(num_bytes), dtype=array.dtype)
    return values.reshape(LAYOUT.capacity, *array.shape)


def _write(files: Hdf5Files, array: StoredArray, values: np.ndarray) -> None:
    files.create(array)
    for part in range(LAYOUT.num_parts):
        rows = LAYOUT.part_range(part)
        files.write_part(array, part, values[rows.start : rows.stop])


def _read(files: Hdf5Files, array: StoredArray, rows) -> np.ndarray:
    target = np.full((len(rows), *array.shape), 1, dtype=array.dtype)
    files.read_rows(array, [int(row) for row in rows], target)
    return target


@pytest.fixture
def files(tmp_path: Path) -> Iterator[Hdf5Files]:
    with_parts = Hdf5Files(tmp_path, LAYOUT)
    yield with_parts
    with_parts.close()


@pytest.mark.parametrize(
    ("dtype", "compression"),
    [*((dtype, "gzip") for dtype in DTYPES), *(("float16", name) for name in COMPRESSIONS[1:])],
)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_read_rows__gives_back_every_bit(files, shape, dtype, compression):
    if compression in {"zstd", "lz4"}:
        pytest.importorskip("hdf5plugin")
    array = _array(shape=shape, dtype=dtype, compression=compression)
    values = _random_values(array)
    _write(files, array, values)

    assert _read(files, array, ROWS).tobytes() == values[ROWS].tobytes()


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_read_rows__in_any_order_with_repeats(files, shape):
    array = _array(shape=shape, dtype="int64")
    values = _random_values(array)
    _write(files, array, values)

    generator = np.random.default_rng(1)
    for rows in ([0, 2], [1, 0], [0, 1, 1], [3, 4], [14, 0], *generator.choice(ROWS, (9, 40))):
        assert np.array_equal(_read(files, array, rows), values[rows])


@pytest.mark.parametrize(("shape", "num_chunks"), [((3,), 4), ((300, 80), 13)], ids=str)
def test_read_rows__decodes_each_chunk_once(files, monkeypatch, shape, num_chunks):
    array = _array(shape=shape)
    _write(files, array, _random_values(array))
    read_direct = h5py.Dataset.read_direct
    reads = []

    def count(dataset, *arguments):
        reads.append(dataset.file.filename)
        return read_direct(dataset, *arguments)

    monkeypatch.setattr(h5py.Dataset, "read_direct", count)
    _read(files, array, np.random.default_rng(2).permutation(np.tile(ROWS, 2)))

    assert len(reads) == num_chunks
    assert len(set(reads)) == LAYOUT.num_parts


def test_write_part__chunks_are_rows_or_parts(files):
    large, small = _array("large", (300, 80)), _array("small", (3,))
    for array, chunks in ((large, [1, 1, 1, 1]), (small, [4, 4, 2, 3])):
        _write(files, array, _random_values(array))
        found = []
        for part in range(LAYOUT.num_parts):
            with h5py.File(files.part_file(array, part)) as file:
                assert file["values"].fletcher32
                assert file["values"].compression_opts == 1
                found.append(file["values"].chunks[0])
        assert found == chunks


def test_write_part__replaces_what_was_read_before(files):
    array = _array(dtype="int32")
    values = _random_values(array)
    _write(files, array, values)
    _read(files, array, ROWS)

    files.write_part(array, 1, values[4:8] + 1)

    assert np.array_equal(_read(files, array, range(4, 8)), values[4:8] + 1)


def test_write_part__without_room_leaves_the_old_file(files, tmp_path, run_script):
    array = _array()
    values = _random_values(array)
    _write(files, array, values)

    done = run_script(
        PREAMBLE
        + """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
try:
    files.write_part(array, 0, np.ones((4, 3), np.float32))
except OSError as error:
    print(error.errno, error.filename)
""",
        tmp_path,
    )

    path = files.part_file(array, 0)
    assert done.stdout.split() == [str(errno.EFBIG), str(path)], done.stderr
    assert _read(files, array, ROWS).tobytes() == values[ROWS].tobytes()
    assert sorted(file.name for file in path.parent.iterdir()) == [
        f"{part:06d}.h5" for part in range(LAYOUT.num_parts)
    ]


@pytest.mark.parametrize("compression", ["gzip", "none"])
def test_arrange__plain_h5py_reads_the_whole_cache_wherever_it_lies(
    files, tmp_path, run_script, compression
):
    arrays = [
        _array("features/map.full", (300, 80), "float16", compression),
        _array("features/map.pooled", (3,), "float32", compression),
        _array("label", (), "int64", compression),
    ]
    for array in arrays:
        _write(files, array, _random_values(array))
        np.save(tmp_path / f"{array.name.replace('/', '-')}.npy", _random_values(array)[ROWS])
    files.arrange(LAYOUT, arrays)
    moved = tmp_path / "moved"
    moved.mkdir()
    for name in ("arrays", "cache.h5"):
        (tmp_path / name).rename(moved / name)

    done = run_script(
        """
import sys
import h5py, numpy
folder, rows = sys.argv[1], [*range(10), 12, 13, 14]
with h5py.File(f"{folder}/moved/cache.h5") as cache:
    for name in ("features/map.full", "features/map.pooled", "label"):
        expected = numpy.load(f"{folder}/{name.replace('/', '-')}.npy")
        found = cache[name][:]
        assert found.dtype == expected.dtype, name
        assert found[rows].tobytes() == expected.tobytes(), name
assert "hdf5plugin" not in sys.modules
print("equal")
""",
        tmp_path,
    )

    assert done.stdout == "equal\n", done.stderr


def test_arrange__parts_and_rows_that_are_not_there_read_as_fill(files, tmp_path):
    floats, integers = _array("floats"), _array("integers", (), "int32")
    for array in (floats, integers):
        files.create(array)
        files.write_part(array, 1, np.ones((4, *array.shape), array.dtype))
    files.arrange(LAYOUT, [floats, integers])

    present = np.isin(np.arange(LAYOUT.capacity), np.arange(4, 8))
    with h5py.File(tmp_path / "cache.h5") as cache:
        assert np.array_equal(np.isnan(cache["floats"][:]), np.repeat(~present[:, None], 3, axis=1))
        assert np.array_equal(cache["integers"][:], present)

    # A part that comes later is seen without arranging anew.
    files.write_part(integers, 0, np.full(4, 5, np.int32))
    with h5py.File(tmp_path / "cache.h5") as cache:
        assert cache["integers"][:5].tolist() == [5, 5, 5, 5, 1]


def test_arrange__follows_rows_and_arrays(files, tmp_path):
    kept, dropped = _array("kept"), _array("dropped")
    files.arrange(PartLayout(4, (10,)), [kept, dropped])
    files.create(kept)
    files.arrange(LAYOUT, [kept])
    files.write_part(kept, 3, np.ones((3, 3), np.float32))

    assert np.array_equal(_read(files, kept, [14, 12]), np.ones((2, 3)))
    files.close()  # a file is not opened with and without locks at once
    with h5py.File(tmp_path / "cache.h5") as cache:
        assert list(cache) == ["kept"]
        assert cache["kept"].shape == (LAYOUT.capacity, 3)
        assert np.array_equal(cache["kept"][12:], np.ones((3, 3)))


def test_metadata__and_parts_are_the_same_at_any_time(files, tmp_path):
    arrays = [_array("features/a"), _array("features/b.full", (300, 80)), _array("c", ())]

    def contents() -> dict[Path, bytes]:
        for array in arrays:
            _write(files, array, _random_values(array))
        files.arrange(LAYOUT, arrays)
        assert files.metadata(arrays) == {
            tmp_path / "cache.h5": (tmp_path / "cache.h5").read_bytes()
        }
        return {path: path.read_bytes() for path in tmp_path.rglob("*.h5")}

    before = contents()
    time.sleep(1.1)  # HDF5's times have seconds

    assert len(before) == 1 + len(arrays) * LAYOUT.num_parts
    assert contents() == before


def test_create__replaces_what_was_left_unfinished(files):
    array = _array()
    _write(files, array, _random_values(array))

    files.create(array)

    assert list(files.part_file(array, 0).parent.iterdir()) == []


def test_remove__leaves_nothing(files, tmp_path):
    first, second = _array("features/first"), _array("features/second")
    for array in (first, second):
        _write(files, array, _random_values(array))
    (files.part_file(first, 0).parent / "000009.h5.tmp").write_bytes(b"left by a crash")

    files.remove(first)
    assert [path.name for path in (tmp_path / "arrays/features").iterdir()] == ["second"]
    files.remove(second)
    assert list(tmp_path.iterdir()) == []
    files.remove(second)


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_read_rows__flipped_byte_is_an_error_or_nothing(files, compression):
    if compression in {"zstd", "lz4"}:
        pytest.importorskip("hdf5plugin")
    array = _array(shape=(20,), compression=compression)
    values = _random_values(array)
    _write(files, array, values)
    path = files.part_file(array, 0)
    whole = path.read_bytes()

    outcomes = []
    for index in range(len(whole)):
        damaged = bytearray(whole)
        damaged[index] ^= 1 << index % 8
        path.write_bytes(damaged)
        outcomes.append(_outcome(files, array, values, path))

    assert "wrong" not in outcomes
    assert outcomes.count("error") > 4 * array.row_bytes  # all of the data, and more


@pytest.mark.parametrize("shape", [(20,), (300, 80)], ids=str)
def test_read_rows__truncated_file_is_an_error(files, shape):
    array = _array(shape=shape)
    values = _random_values(array)
    _write(files, array, values)
    path = files.part_file(array, 0)
    whole = path.read_bytes()

    for size in range(0, len(whole), max(1, len(whole) // 97)):
        path.write_bytes(whole[:size])
        assert _outcome(files, array, values, path) == "error", size


def _outcome(files: Hdf5Files, array: StoredArray, values: np.ndarray, path: Path) -> str:
    """What reading a damaged part 0 comes to."""
    files.close()
    try:
        found = _read(files, array, range(4))
    except (OSError, ValueError) as error:
        return "error" if str(path) in str(error) else "wrong"
    return "equal" if found.tobytes() == values[:4].tobytes() else "wrong"


def test_read_rows__file_that_was_repaired_is_read_again(files):
    array = _array(compression="none")
    values = _random_values(array)
    _write(files, array, values)
    path = files.part_file(array, 0)
    whole = path.read_bytes()
    data = values[:4].tobytes()
    replace_file(path, whole.replace(data, data[::-1]))
    with pytest.raises(ValueError, match=r"000000\.h5 cannot be read"):
        _read(files, array, [0])

    replace_file(path, whole)

    assert _read(files, array, [0]).tobytes() == values[:1].tobytes()


def test_read_rows__missing_or_another_array_s_file(files):
    array, other = _array("array"), _array("other", (2,))
    for each in (array, other):
        _write(files, each, _random_values(each))

    files.part_file(array, 0).write_bytes(files.part_file(other, 0).read_bytes())
    with pytest.raises(ValueError, match=r"it holds float32 \(4, 2\); expected float32 \(4, 3\)"):
        _read(files, array, [0])
    files.part_file(array, 1).unlink()
    with pytest.raises(FileNotFoundError, match=r"array/000001\.h5"):
        _read(files, array, [4])


def test_read_rows__file_locked_by_another(files):
    array = _array()
    values = _random_values(array)
    _write(files, array, values)

    with files.part_file(array, 0).open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert _read(files, array, [0]).tobytes() == values[:1].tobytes()


@pytest.mark.parametrize("compression", ["zstd", "lz4"])
def test_hdf5plugin__is_asked_for_where_it_is_needed(files, monkeypatch, compression):
    monkeypatch.setitem(sys.modules, "hdf5plugin", None)
    array = _array(compression=compression)
    values = np.zeros((4, 3), np.float32)
    uses: list[Callable[[], object]] = [
        lambda: files.create(array),
        lambda: files.write_part(array, 0, values),
        lambda: files.read_rows(array, [0], values[:1]),
    ]
    for use in uses:
        with pytest.raises(CacheError, match=rf'{compression}.* pip install "featkd\[hdf5\]"'):
            use()


def test_read_rows__by_threads_with_few_open_files(files, monkeypatch):
    monkeypatch.setattr("featkd.cache.hdf5_handles._MAX_OPEN_FILES", 2)
    arrays = [_array("small", (3,), "int32"), _array("large", (300, 80), "int32")]
    values = [_random_values(array) for array in arrays]
    for array, content in zip(arrays, values, strict=True):
        _write(files, array, content)

    def read(seed: int) -> bool:
        which = seed % 2
        rows = np.random.default_rng(seed).choice(ROWS, size=8)
        return np.array_equal(_read(files, arrays[which], rows), values[which][rows])

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(read, range(200)))
    assert len(files._handles._datasets) == 2


def test_read_rows__in_forked_children_while_threads_read(files, tmp_path, run_script):
    array = _array()
    values = _random_values(array)
    _write(files, array, values)

    done = run_script(
        PREAMBLE
        + """
import os, threading

rows = [*range(10), 12, 13, 14]

def read():
    target = np.empty((len(rows), 3), np.float32)
    files.read_rows(array, rows, target)
    return target

def read_on():
    while not stop:
        read()

expected, stop = read(), False
threads = [threading.Thread(target=read_on) for _ in range(2)]
for thread in threads:
    thread.start()
children = []
for _ in range(20):
    child = os.fork()
    if child == 0:
        os._exit(0 if read().tobytes() == expected.tobytes() else 1)
    children.append(child)
states = {os.waitpid(child, 0)[1] for child in children}
stop = True
for thread in threads:
    thread.join()
assert read().tobytes() == expected.tobytes()
print(states)
""",
        tmp_path,
    )

    assert done.stdout == "{0}\n", done.stderr
