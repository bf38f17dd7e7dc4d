"""What the folder of a cache holds, who may open it, and what damage to it looks like."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import zarr

from featkd.cache import ArraySpec, FolderStore
from featkd.cache.chunking import rows_per_chunk
from featkd.cache.sealed_json import seal, unseal
from featkd.errors import CacheError, CacheIncompleteError, CacheLockedError

NUM_ROWS = 6
PART_ROWS = 4
MAP = ArraySpec(name="features/Mixed_5c.full", shape=(8, 2, 3, 3), dtype="float16")
LOGITS = ArraySpec(name="logits", shape=(5,), dtype="float32")
SHARD = Path("arrays/features/Mixed_5c.full/c.1.0.0.0.0")


def values_of(array: ArraySpec) -> np.ndarray:
    generator = np.random.default_rng(len(array.shape))
    return np.maximum(generator.normal(size=(NUM_ROWS, *array.shape)), 0).astype(array.dtype)


def write_parts(store: FolderStore, parts: list[int]) -> None:
    store.add_layer("teacher", [MAP, LOGITS], {"teacher.model": "i3d"})
    for part in parts:
        span = store.part_range(part)
        arrays = {array.name: values_of(array)[span.start : span.stop] for array in (MAP, LOGITS)}
        store.write_part("teacher", part, arrays, {}, {})


@pytest.fixture
def cache(tmp_path, make_rows):
    path = tmp_path / "cache"
    with FolderStore.create(path, make_rows(NUM_ROWS), part_rows=PART_ROWS) as store:
        write_parts(store, [0, 1])
    return path


def test_layout__is_as_documented(cache):
    found = {str(path.relative_to(cache)) for path in cache.rglob("*") if path.is_file()}
    assert found == {
        "featkd.json",
        "featkd.copy.json",
        "rows/0.parquet",
        "zarr.json",
        "writer.lock",
        "arrays/zarr.json",
        "arrays/features/zarr.json",
        "arrays/features/Mixed_5c.full/zarr.json",
        "arrays/features/Mixed_5c.full/c.0.0.0.0.0",
        "arrays/features/Mixed_5c.full/c.1.0.0.0.0",
        "arrays/logits/zarr.json",
        "arrays/logits/c.0.0",
        "arrays/logits/c.1.0",
        "commits/teacher/000000.json",
        "commits/teacher/000001.json",
    }
    header = json.loads((cache / "featkd.json").read_text())
    assert (header["format"], header["backend"], header["part_rows"]) == (
        "featkd-cache/2", "zarr", 4,
    )  # fmt: skip
    assert [block["num_rows"] for block in header["blocks"]] == [NUM_ROWS]


def test_arrays__open_in_zarr_python(cache):
    group = zarr.open_group(cache, mode="r")
    for array in (MAP, LOGITS):
        found = group[f"arrays/{array.name}"]
        assert found.shards == (PART_ROWS, *array.shape)
        assert np.array_equal(found[:], values_of(array))
    codecs = json.loads((cache / "arrays" / MAP.name / "zarr.json").read_text())["codecs"]
    inner = codecs[0]["configuration"]["codecs"]
    assert [codec["name"] for codec in inner] == ["bytes", "blosc", "crc32c"]
    assert inner[1]["configuration"]["cname"] == "lz4"


@pytest.mark.parametrize(
    ("row_bytes", "part_rows", "expected"),
    [
        pytest.param(802_816, 64, 1, id="feature map"),
        pytest.param(65_537, 64, 1, id="just large"),
        pytest.param(65_536, 64, 4, id="just small"),
        pytest.param(4, 64, 64, id="never across a part"),
        pytest.param(4096, 100, 50, id="divides the part"),
        pytest.param(40_000, 7, 1, id="prime part"),
    ],
)
def test_rows_per_chunk__divides_the_part(row_bytes, part_rows, expected):
    assert rows_per_chunk(row_bytes, part_rows) == expected


@pytest.mark.parametrize("value", [0.0, np.nan])
def test_write_part__of_fill_values_has_shards(tmp_path, make_rows, value):
    with FolderStore.create(tmp_path / "cache", make_rows(2)) as store:
        store.add_layer("teacher", [LOGITS], {})
        stored = {"logits": np.full((2, 5), value, np.float32)}
        store.write_stored_part("teacher", 0, stored, {}, {}, {})
        found = store.read_rows("logits", [1]).numpy()
    assert np.array_equal(found, np.full((1, 5), value), equal_nan=True)


@pytest.mark.parametrize("resident_array_bytes", [0, 2**20])
def test_reader__sees_what_is_committed_meanwhile(tmp_path, make_rows, resident_array_bytes):
    path = tmp_path / "cache"
    with FolderStore.create(path, make_rows(NUM_ROWS), part_rows=PART_ROWS) as writer:
        reader = FolderStore.open(path, resident_array_bytes=resident_array_bytes)
        with pytest.raises(CacheError, match="no array"):
            reader.read_rows(MAP.name, [0])
        write_parts(writer, [0])
        assert np.array_equal(reader.read_rows(MAP.name, [1, 0]), values_of(MAP)[[1, 0]])
        with pytest.raises(CacheIncompleteError, match="row 5"):
            reader.read_rows(MAP.name, [0, 5])
        write_parts(writer, [1])
        assert reader.committed_parts("teacher") == {0, 1}
        assert np.array_equal(reader.read_rows(MAP.name, [5, 1]), values_of(MAP)[[5, 1]])


def test_small_arrays__are_kept_in_memory(cache):
    store = FolderStore.open(cache)
    before = store.read_rows("logits", [5])
    (cache / "arrays/logits/c.1.0").unlink()
    assert np.array_equal(store.read_rows("logits", [5]), before)
    store.close()
    direct = FolderStore.open(cache, resident_array_bytes=0)
    with pytest.raises(CacheError, match="is missing"):
        direct.read_rows("logits", [5])


def test_reader__cannot_write(cache):
    store = FolderStore.open(cache)
    with pytest.raises(CacheError, match="open for reading only"):
        store.add_layer("more", [ArraySpec(name="more", shape=(), dtype="float32")], {})
    with pytest.raises(CacheError, match="open for reading only"):
        store.save_module("cvae", {}, {})


def test_writer__second_one_is_refused(cache):
    with FolderStore.open_for_writing(cache) as first:
        with pytest.raises(CacheLockedError, match=rf"by process {os.getpid()} on .* since 2"):
            FolderStore.open_for_writing(cache)
        assert FolderStore.open(cache).committed_parts("teacher") == {0, 1}
        first.close()
        first.close()
    FolderStore.open_for_writing(cache).close()


def test_create__refuses_a_folder_in_use(cache, tmp_path, make_rows):
    with pytest.raises(CacheError, match="is not empty"):
        FolderStore.create(cache, make_rows(2))
    folder = tmp_path / "videos"
    folder.mkdir()
    (folder / "a.mp4").touch()
    with pytest.raises(CacheError, match=r"holds a\.mp4"):
        FolderStore.create(folder, make_rows(2))
    assert [path.name for path in folder.iterdir()] == ["a.mp4"]
    with pytest.raises(CacheError, match="cannot be written"):
        FolderStore.create(folder / "a.mp4", make_rows(2))


def test_create__again_after_it_was_killed(tmp_path, make_rows, monkeypatch):
    def die(*_args: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("featkd.cache.folder_store.HeaderFile.replace", die)
        with pytest.raises(KeyboardInterrupt):
            FolderStore.create(tmp_path / "cache", make_rows(2))
    with pytest.raises(CacheError, match="is not a cache"):
        FolderStore.open(tmp_path / "cache")
    FolderStore.create(tmp_path / "cache", make_rows(2)).close()
    assert FolderStore.open(tmp_path / "cache").num_rows == 2


@pytest.mark.parametrize("opener", [FolderStore.open, FolderStore.open_for_writing])
def test_open__no_cache_there(tmp_path, opener):
    with pytest.raises(CacheError, match=r"is not a cache: it has no featkd\.json"):
        opener(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_open__damaged_header(cache):
    (cache / "featkd.json").write_text('{"format": "featkd-cache/1"')
    with pytest.raises(CacheError, match=r"featkd\.json is damaged: .*featkd cache repair"):
        FolderStore.open(cache)


def test_open__unknown_format(cache):
    header = unseal((cache / "featkd.json").read_bytes())
    (cache / "featkd.json").write_bytes(seal(header | {"format": "featkd-cache/9"}))
    with pytest.raises(CacheError, match=r"format is 'featkd-cache/9'; expected 'featkd-cache/2'"):
        FolderStore.open(cache)


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"layer": "teacher"}', '{"part": 1, "layer": 7}']
)
def test_commit__damaged(cache, content):
    record = cache / "commits/teacher/000001.json"
    record.write_text(content)
    store = FolderStore.open(cache)
    for call in (
        lambda: list(store.commits("teacher")),
        lambda: store.failures("teacher"),
        lambda: store.read_rows("logits", [5]),
    ):
        with pytest.raises(CacheError, match=r"000001\.json is damaged.*featkd cache repair"):
            call()
    assert store.read_rows("logits", [0]).shape == (1, 5)


def test_commit__of_another_part(cache):
    records = cache / "commits/teacher"
    (records / "000001.json").write_bytes((records / "000000.json").read_bytes())
    with pytest.raises(CacheError, match=r"000001\.json is of layer, part"):
        FolderStore.open(cache).failures("teacher")


def test_commit__temporary_file_does_not_count(cache):
    record = cache / "commits/teacher/000001.json"
    record.rename(record.with_name("000001.json.tmp"))
    with FolderStore.open_for_writing(cache) as store:
        assert store.committed_parts("teacher") == {0}
        write_parts(store, [1])
        assert np.array_equal(store.read_rows("logits", [5]), values_of(LOGITS)[[5]])
    assert sorted(path.name for path in record.parent.iterdir()) == ["000000.json", "000001.json"]


def test_read_rows__shard_of_another_size(cache):
    content = (cache / SHARD).read_bytes()
    (cache / SHARD).write_bytes(content[:-10])
    with pytest.raises(CacheError, match=f"has {len(content) - 10} bytes; .* says {len(content)}"):
        FolderStore.open(cache).read_rows(MAP.name, [4])


@pytest.mark.parametrize("resident_array_bytes", [0, 2**20])
def test_read_rows__flipped_byte(cache, resident_array_bytes):
    content = bytearray((cache / SHARD).read_bytes())
    content[20] ^= 1
    (cache / SHARD).write_bytes(content)
    store = FolderStore.open(cache, resident_array_bytes=resident_array_bytes)
    with pytest.raises(CacheError, match=r"array 'features/Mixed_5c\.full' .* is damaged"):
        store.read_rows(MAP.name, [4, 5])
    assert np.array_equal(store.read_rows(MAP.name, [0]), values_of(MAP)[[0]])


def test_read_rows__array_is_not_what_the_header_says(cache):
    header = unseal((cache / "featkd.json").read_bytes())
    header["layers"]["teacher"]["arrays"][0]["dtype"] = "float32"
    (cache / "featkd.json").write_bytes(seal(header))
    with pytest.raises(CacheError, match=r"array 'features/Mixed_5c\.full' .* is damaged"):
        FolderStore.open(cache).read_rows(MAP.name, [0])


def test_rows__damaged_table(cache):
    (cache / "rows/0.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(CacheError, match=r"0\.parquet is damaged"):
        _ = FolderStore.open(cache).rows


def test_load_module__damaged(cache):
    with FolderStore.open_for_writing(cache) as store:
        store.save_module("cvae", {}, {})
        (cache / "modules/cvae.safetensors").write_bytes(b"cut off")
        with pytest.raises(CacheError, match=r"cvae\.safetensors is not the file that"):
            store.load_module("cvae")
        (cache / "modules/cvae.json").write_text("{")
        with pytest.raises(CacheError, match=r"'cvae' .* cannot be read"):
            store.load_module("cvae")


def test_add_layer__records_left_by_a_killed_removal_do_not_count(cache):
    record = cache / "commits/teacher/000000.json"
    left = record.read_bytes()
    with FolderStore.open_for_writing(cache) as store:
        store.remove_arrays([MAP.name, LOGITS.name])
        record.write_bytes(left)
        write_parts(store, [])
        assert store.committed_parts("teacher") == set()
