"""Every flipped byte of a cache is noticed, by `verify` and by whoever reads it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from featkd.cache import DEFAULT_COMPRESSION, ArraySpec, Backend, FolderStore
from featkd.cache.verify import Damage, Verification, verify
from featkd.durable import replace_file
from featkd.errors import CacheError

MakeRows = Callable[[int], pd.DataFrame]

SPECS = (
    ArraySpec(name="logits", shape=(5,), dtype="float32"),
    ArraySpec(name="features/a.full", shape=(4, 2, 3, 3), dtype="float16"),
    ArraySpec(name="features/b.pooled", shape=(6, 4), dtype="scaled_uint8"),
    ArraySpec(name="frames_crc32", shape=(), dtype="uint32", compression="none"),
)
ATTENTION = ArraySpec(name="attention/a", shape=(4, 2), dtype="bfloat16")
NUM_FLIPS = 40


def unread_by_featkd(name: str) -> bool:
    """Files that no reader of featkd's takes anything from; other programs do."""
    return name in UNWATCHED or Path(name).name in {"zarr.json", "cache.h5", "featkd.copy.json"}


UNWATCHED = {"writer.lock", "recipe.yaml"}
"""Files that nothing is read from at all."""


def write_layers(store: FolderStore, parts: range) -> None:
    generator = np.random.default_rng(parts.start)
    for part in parts:
        rows = store.part_range(part)
        arrays = {
            spec.name: (generator.normal(size=(len(rows), *spec.shape)) * 9)
            .clip(0)
            .astype("uint32" if spec.dtype == "uint32" else "float32")
            for spec in SPECS
        }
        store.write_part("teacher", part, arrays, {rows[0]: "an empty file"} if part else {}, {})
        attention = {ATTENTION.name: generator.random((len(rows), 4, 2), dtype="float32")}
        store.write_part("representation", part, attention, {}, {"attention": 0.25})


@pytest.fixture(scope="module", params=["zarr", "hdf5"])
def cache(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, make_rows: MakeRows
) -> Path:
    path = tmp_path_factory.mktemp("verify") / "cache"
    compression = DEFAULT_COMPRESSION[request.param]
    with FolderStore.create(path, make_rows(6), part_rows=4, backend=request.param) as store:
        layers = {"teacher": SPECS, "representation": (ATTENTION,)}
        for name, specs in layers.items():
            chosen = [
                spec if spec.compression == "none"
                else spec.model_copy(update={"compression": compression})
                for spec in specs
            ]  # fmt: skip
            store.add_layer(name, chosen, {"teacher.model": "i3d", "preprocess.size": 224})
        write_layers(store, range(2))
        store.add_rows(make_rows(3))
        write_layers(store, range(2, 3))
        generator = torch.Generator().manual_seed(0)
        for name in ("attention_head", "cvae"):
            weights = {"weight": torch.randn((4, 3), generator=generator)}
            store.save_module(name, weights, {"channels": 4})
    (path / "recipe.yaml").write_text("name: tiny\n")
    return path


@pytest.fixture
def own_cache(cache: Path) -> Iterator[Path]:
    """The same cache, put back as it was afterwards."""
    contents = {path: path.read_bytes() for path in files_of(cache)}
    yield cache
    for path, content in contents.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def files_of(cache: Path) -> list[Path]:
    return sorted(path for path in cache.rglob("*") if path.is_file())


def read_everything(cache: Path) -> dict[str, object]:
    """All that a reader can ask for, as plain values."""
    with FolderStore.open(cache) as store:
        found: dict[str, object] = {"rows": store.rows.to_json()}
        for name, layer in store.layers().items():
            failed = store.failures(name)
            rows = [row for row in store.layout.row_numbers().tolist() if row not in failed]
            found[name] = (layer.fingerprint, failed, sorted(store.committed_parts(name)))
            for array in layer.arrays:
                values = store.read_rows(array.name, rows)
                found[array.name] = (str(values.dtype), values.float().numpy().tobytes())
        for name in store.module_names():
            module = store.load_module(name)
            state = {key: value.numpy().tobytes() for key, value in module.state_dict.items()}
            found[f"modules/{name}"] = (state, module.arguments)
        return found


def damages_of(found: Verification) -> set[str]:
    return {item.path for item in found.damages}


def test_verify__of_a_sound_cache(cache: Path) -> None:
    found = verify(cache)
    assert found.damages == ()
    assert (found.num_parts, found.committed_parts) == (3, {"teacher": 3, "representation": 3})
    assert found.failed_rows == {"teacher": 2, "representation": 0}
    arrays = [path for path in files_of(cache / "arrays") if path.name != "zarr.json"]
    assert found.num_files == len(arrays) == 3 * 6
    assert found.num_bytes == sum(path.stat().st_size for path in arrays)
    assert verify(cache, digests=False).num_bytes == 0


def test_flipped_byte__is_told_by_verify_and_by_readers(own_cache: Path) -> None:
    expected = read_everything(own_cache)
    generator = np.random.default_rng(2)
    files = files_of(own_cache)
    # Every file once, then bytes anywhere.
    sizes = np.array([path.stat().st_size for path in files], dtype=float)
    anywhere = generator.choice(len(files), size=NUM_FLIPS, p=sizes / sizes.sum())
    told_by_reader = 0
    for index in [*range(len(files)), *anywhere.tolist()]:
        path = files[index]
        name = path.relative_to(own_cache).as_posix()
        content = path.read_bytes()
        position = int(generator.integers(len(content)))
        spoilt = bytearray(content)
        spoilt[position] ^= int(generator.integers(1, 256))
        path.write_bytes(spoilt)
        told = bool(verify(own_cache).damages)
        assert told != (name in UNWATCHED), f"byte {position} of {name}"
        try:
            found = read_everything(own_cache)
        except CacheError:
            told_by_reader += 1
        else:
            assert unread_by_featkd(name), f"byte {position} of {name} is read as if it were sound"
            assert found == expected, f"byte {position} of {name}"
        path.write_bytes(content)
    assert told_by_reader > NUM_FLIPS // 2
    assert read_everything(own_cache) == expected


@pytest.mark.parametrize("backend", ["zarr", "hdf5"])
def test_blanked_run__is_told(tmp_path: Path, make_rows: MakeRows, backend: Backend) -> None:
    """HDF5's own checksum takes a run of 0xFF for a run of 0."""
    spec = ArraySpec(name="flags", shape=(64,), dtype="uint32", compression="none")
    with FolderStore.create(tmp_path / "cache", make_rows(2), backend=backend) as store:
        store.add_layer("teacher", [spec], {})
        flags = np.full((2, 64), 2**32 - 1, dtype=np.uint32)
        store.write_part("teacher", 0, {"flags": flags}, {}, {})
        (name,) = store.commit("teacher", 0).files
    path = tmp_path / "cache" / name
    content = path.read_bytes()
    assert b"\xff" * 512 in content
    path.write_bytes(content.replace(b"\xff" * 512, b"\xff" * 64 + bytes(64) + b"\xff" * 384))
    assert damages_of(verify(tmp_path / "cache")) == {name}
    with FolderStore.open(tmp_path / "cache") as store, pytest.raises(CacheError, match="damaged"):
        store.read_rows("flags", [0, 1])


def test_truncated_file__is_told_by_verify_and_by_readers(own_cache: Path) -> None:
    for path in files_of(own_cache):
        name = path.relative_to(own_cache).as_posix()
        content = path.read_bytes()
        path.write_bytes(content[: len(content) // 2])
        assert bool(verify(own_cache, digests=False).damages) != (name in UNWATCHED), name
        if not unread_by_featkd(name):
            with pytest.raises(CacheError):
                read_everything(own_cache)
        path.write_bytes(content)


def test_missing_file__is_told(own_cache: Path) -> None:
    expected = read_everything(own_cache)
    for path in files_of(own_cache):
        name = path.relative_to(own_cache).as_posix()
        content = path.read_bytes()
        path.unlink()
        found = verify(own_cache, digests=False)
        if "commits" in path.parts:  # without its record a part was never written
            assert found.damages == ()
            layer = path.parent.name
            assert found.committed_parts[layer] == found.num_parts - 1
        else:
            assert bool(found.damages) != (name in UNWATCHED), name
        if unread_by_featkd(name):
            assert read_everything(own_cache) == expected
        elif path.suffix != ".json" or path.name == "featkd.json" or "commits" in path.parts:
            with pytest.raises(CacheError):
                read_everything(own_cache)
        else:  # a module that is there no more, which whoever needs it says
            assert read_everything(own_cache) != expected
        path.write_bytes(content)


def test_verify__names_file_layer_and_part(own_cache: Path) -> None:
    with FolderStore.open(own_cache) as store:
        files = [*store.commit("teacher", 1).files]
    shard = next(name for name in files if "a.full" in name)
    content = bytearray((own_cache / shard).read_bytes())
    content[30] ^= 1
    (own_cache / shard).write_bytes(content)
    assert verify(own_cache).damages == (
        Damage(shard, "has another SHA-256 than its commit record says", "teacher", 1),
    )
    assert verify(own_cache, digests=False).damages == ()  # is about structure alone


def test_verify__a_swapped_pair_of_parts(own_cache: Path) -> None:
    """Two sound files in each other's place."""
    with FolderStore.open(own_cache) as store:
        (stored,) = [
            name for name in store.commit("representation", 0).files if "attention" in name
        ]
        (other,) = [name for name in store.commit("representation", 1).files if "attention" in name]
    one, two = (own_cache / stored).read_bytes(), (own_cache / other).read_bytes()
    (own_cache / stored).write_bytes(two)
    (own_cache / other).write_bytes(one)
    assert damages_of(verify(own_cache)) == {stored, other}


def test_verify__header_without_its_copy(own_cache: Path) -> None:
    (own_cache / "featkd.copy.json").unlink()
    assert verify(own_cache).damages == (Damage("featkd.copy.json", "is missing"),)


def test_header__its_copy_is_renewed_by_the_next_writer(
    own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a repair would bring back the header of yesterday, and with it an earlier cache."""
    more = ArraySpec(name="more", shape=(), dtype="float32")

    def write_then_die(path: Path, content: bytes) -> None:
        replace_file(path, content)
        raise KeyboardInterrupt

    with FolderStore.open_for_writing(own_cache) as store, monkeypatch.context() as patch:
        patch.setattr("featkd.cache.header_file.replace_file", write_then_die)
        with pytest.raises(KeyboardInterrupt):
            store.add_layer("more", [more], {})
    assert damages_of(verify(own_cache)) == {"featkd.copy.json"}
    FolderStore.open_for_writing(own_cache).close()
    assert verify(own_cache).damages == ()
    with FolderStore.open_for_writing(own_cache) as store:
        assert "more" in store.layers()
        store.remove_arrays(["more"])


def test_verify__no_cache(tmp_path: Path) -> None:
    with pytest.raises(CacheError, match="is not a cache"):
        verify(tmp_path)
