"""The contract of every cache: one class, run for each backend."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from featkd.cache import (
    ArraySpec,
    CacheStore,
    FeatureDtype,
    FolderStore,
    MemoryStore,
    stored_arrays,
)
from featkd.errors import CacheError, CacheIncompleteError, FingerprintError

LOGITS = ArraySpec(name="logits", shape=(5,), dtype="float32")
MAP = ArraySpec(name="features/Mixed_5c.full", shape=(3, 2, 2, 2), dtype="float16")
CHECKSUM = ArraySpec(name="clip_crc32", shape=(), dtype="uint32")
TEACHER = (LOGITS, MAP, CHECKSUM)
FINGERPRINT = {"teacher.model": "i3d", "preprocess.size": 224, "teacher.taps": ["a", "b"]}

FEATURE_DTYPES = FeatureDtype.__args__

MakeStore = Callable[..., CacheStore]


def part_values(store: CacheStore, part: int) -> dict[str, np.ndarray]:
    rows = np.asarray(store.part_range(part))
    return {
        array.name: (
            rows.reshape(-1, *[1] * len(array.shape)) * 8
            + np.arange(np.prod(array.shape)).reshape(array.shape) % 8
        ).astype(array.dtype)
        for array in TEACHER
    }


def fill(store: CacheStore, parts: list[int] | None = None) -> None:
    store.add_layer("teacher", TEACHER, FINGERPRINT)
    for part in range(store.num_parts) if parts is None else parts:
        store.write_part("teacher", part, part_values(store, part), {}, {"teacher": 0.5})


class StoreContract:
    @pytest.fixture
    def make_store(self) -> Iterator[MakeStore]:
        raise NotImplementedError

    def test_rows__come_back(self, make_store, make_rows):
        table = make_rows(5).assign(path=[f"{row}.mp4" for row in range(5)])
        store = make_store(table)
        found = store.rows
        assert found.columns.tolist() == table.columns.tolist()
        for column in ("row", "video_id", "view_index", "label", "split", "flip", "path"):
            assert found[column].tolist() == table[column].tolist()
        assert [list(value) for value in found["frame_indices"]] == table["frame_indices"].tolist()
        assert [list(value) for value in found["crop_box"]] == table["crop_box"].tolist()

    @pytest.mark.parametrize(
        ("spoil", "message"),
        [
            pytest.param(lambda rows: rows.drop(columns="flip"), "lacks column flip", id="column"),
            pytest.param(lambda rows: rows.iloc[:0], "empty", id="empty"),
            pytest.param(lambda rows: rows.iloc[::-1], "does not count", id="order"),
        ],
    )
    def test_create__refuses_other_tables(self, make_store, make_rows, spoil, message):
        with pytest.raises(CacheError, match=message):
            make_store(spoil(make_rows(4)))

    def test_parts__last_one_is_shorter(self, make_store, make_rows):
        store = make_store(make_rows(10), part_rows=4)
        assert [store.part_range(part) for part in range(store.num_parts)] == [
            range(4),
            range(4, 8),
            range(8, 10),
        ]
        with pytest.raises(CacheError, match="part 3 does not exist"):
            store.part_range(3)

    def test_read_rows__any_order_and_twice(self, make_store, make_rows):
        store = make_store(make_rows(10), part_rows=4)
        fill(store)
        rows = [9, 0, 4, 9, 3]
        expected = {
            name: np.concatenate([part_values(store, part)[name] for part in range(3)])[rows]
            for name in (LOGITS.name, MAP.name, CHECKSUM.name)
        }
        for name, values in expected.items():
            found = store.read_rows(name, rows)
            assert found.dtype == torch.from_numpy(values).dtype
            assert np.array_equal(found.numpy(), values)

    def test_read_rows__none_asked_for(self, make_store, make_rows):
        store = make_store(make_rows(4))
        fill(store)
        assert store.read_rows(MAP.name, []).shape == (0, *MAP.shape)

    def test_read_rows__result_is_the_callers(self, make_store, make_rows):
        store = make_store(make_rows(4))
        values = part_values(store, 0)
        store.add_layer("teacher", TEACHER, FINGERPRINT)
        store.write_part("teacher", 0, values, {}, {})
        values[LOGITS.name][:] = -1
        store.read_rows(LOGITS.name, [1]).fill_(-1)
        assert store.read_rows(LOGITS.name, [1])[0, 0] == 8

    def test_read_rows__names_first_uncommitted_row(self, make_store, make_rows):
        store = make_store(make_rows(10), part_rows=4)
        fill(store, [0, 2])
        assert store.committed_parts("teacher") == {0, 2}
        assert store.read_rows(LOGITS.name, [3, 8]).shape == (2, 5)
        with pytest.raises(CacheIncompleteError, match=r"row 6 \(part 1\)"):
            store.read_rows(LOGITS.name, [0, 6, 5])
        store.write_part("teacher", 1, part_values(store, 1), {}, {})
        assert store.read_rows(LOGITS.name, [6])[0, 0] == 48

    @pytest.mark.parametrize("row", [-1, 10])
    def test_read_rows__refuses_rows_out_of_range(self, make_store, make_rows, row):
        store = make_store(make_rows(10))
        fill(store)
        with pytest.raises(CacheError, match=f"row {row} does not exist"):
            store.read_rows(LOGITS.name, [0, row])

    def test_read_rows__unknown_array(self, make_store, make_rows):
        store = make_store(make_rows(3))
        fill(store)
        with pytest.raises(CacheError, match=r"no array 'nonsense'; it has logits, features"):
            store.read_rows("nonsense", [0])

    def test_failures__kept_with_their_reason(self, make_store, make_rows):
        store = make_store(make_rows(6), part_rows=4)
        store.add_layer("teacher", TEACHER, FINGERPRINT)
        store.write_part("teacher", 1, part_values(store, 1), {5: "frame 7 is damaged"}, {})
        store.write_part("teacher", 0, part_values(store, 0), {2: "empty file", 0: "gone"}, {})
        assert store.failures("teacher") == {0: "gone", 2: "empty file", 5: "frame 7 is damaged"}
        assert store.read_rows(LOGITS.name, [1, 3, 4]).tolist()[0][0] == 8
        with pytest.raises(CacheError, match=r"row 5 .* has no data: frame 7 is damaged"):
            store.read_rows(LOGITS.name, [1, 5])

    def test_commit__records_the_part(self, make_store, make_rows):
        store = make_store(make_rows(6), part_rows=4)
        fill(store, [1])
        commit = store.commit("teacher", 1)
        assert (commit.layer, commit.part, commit.start_row, commit.stop_row) == (
            "teacher",
            1,
            4,
            6,
        )
        assert commit.seconds == {"teacher": 0.5}
        assert len(commit.files) == len(TEACHER)
        assert commit.codec_errors.keys() == {LOGITS.name, MAP.name}
        with pytest.raises(CacheIncompleteError, match="part 0"):
            store.commit("teacher", 0)

    def test_write_part__refuses_a_committed_part(self, make_store, make_rows):
        store = make_store(make_rows(4))
        fill(store)
        with pytest.raises(CacheError, match="part 0 of layer 'teacher' is already committed"):
            store.write_part("teacher", 0, part_values(store, 0), {}, {})

    @pytest.mark.parametrize(
        ("spoil", "message"),
        [
            pytest.param(lambda arrays: arrays.pop("logits"), "consists of", id="missing"),
            pytest.param(
                lambda arrays: arrays.update(x=arrays["logits"]), "consists of", id="extra"
            ),
            pytest.param(
                lambda arrays: arrays.update(logits=arrays["logits"].astype(np.int64)),
                r"is int64 \(4, 5\); expected float32 \(4, 5\)",
                id="dtype",
            ),
            pytest.param(
                lambda arrays: arrays.update(clip_crc32=arrays["clip_crc32"].astype(np.float32)),
                r"is float32 \(4,\); expected uint32 \(4,\)",
                id="integer",
            ),
            pytest.param(
                lambda arrays: arrays["logits"].__setitem__((2, 1), np.nan),
                r"row 2 of array 'logits' is NaN, infinite or beyond the range of float32",
                id="nan",
            ),
            pytest.param(
                lambda arrays: arrays.update(logits=arrays["logits"][:3]),
                r"is float32 \(3, 5\); expected float32 \(4, 5\)",
                id="shape",
            ),
        ],
    )
    def test_write_part__refuses_other_arrays(self, make_store, make_rows, spoil, message):
        store = make_store(make_rows(4))
        store.add_layer("teacher", TEACHER, FINGERPRINT)
        arrays = part_values(store, 0)
        spoil(arrays)
        with pytest.raises(CacheError, match=message):
            store.write_part("teacher", 0, arrays, {}, {})
        assert store.committed_parts("teacher") == set()

    def test_write_part__refuses_failures_of_another_part(self, make_store, make_rows):
        store = make_store(make_rows(8), part_rows=4)
        store.add_layer("teacher", TEACHER, FINGERPRINT)
        with pytest.raises(CacheError, match="row 4 is reported as failed"):
            store.write_part("teacher", 0, part_values(store, 0), {4: "no"}, {})

    def test_add_layer__has_its_own_commits(self, make_store, make_rows):
        store = make_store(make_rows(4), part_rows=2)
        fill(store)
        attention = ArraySpec(name="attention/Mixed_5c", shape=(3, 2), dtype="float16")
        store.add_layer("attention", [attention], {"seed": 1})
        assert list(store.layers()) == ["teacher", "attention"]
        assert store.layers()["attention"].fingerprint == {"seed": 1}
        assert store.committed_parts("attention") == set()
        with pytest.raises(CacheIncompleteError, match="layer 'attention'"):
            store.read_rows(attention.name, [0])
        store.write_part("attention", 0, {attention.name: np.ones((2, 3, 2), np.float16)}, {}, {})
        assert store.read_rows(attention.name, [1]).sum() == 6
        assert store.read_rows(LOGITS.name, [3])[0, 0] == 24

    def test_add_layer__again_is_harmless_if_it_is_the_same(self, make_store, make_rows):
        store = make_store(make_rows(4))
        fill(store)
        store.add_layer("teacher", TEACHER, FINGERPRINT | {"teacher.taps": ("a", "b")})
        assert store.committed_parts("teacher") == {0}
        with pytest.raises(
            FingerprintError, match=r"preprocess\.size is 224 in the cache, but 112"
        ):
            store.add_layer("teacher", TEACHER, FINGERPRINT | {"preprocess.size": 112})
        with pytest.raises(CacheError, match=r"layer 'teacher' of .* has logits"):
            store.add_layer("teacher", [LOGITS], FINGERPRINT)
        with pytest.raises(CacheError, match="already has an array 'logits'"):
            store.add_layer("other", [LOGITS], {})

    def test_add_layer__refuses_names_that_leave_the_folder(self, make_store, make_rows):
        store = make_store(make_rows(4))
        with pytest.raises(CacheError, match=r"layer name '\.\./x'"):
            store.add_layer("../x", [LOGITS], {})

    @pytest.mark.parametrize("name", ["logits/a", "features", "features/Mixed_5c.full/x/y"])
    def test_add_layer__refuses_names_that_lie_in_one_another(self, make_store, make_rows, name):
        store = make_store(make_rows(4))
        fill(store)
        with pytest.raises(CacheError, match="would lie in one another"):
            store.add_layer("other", [LOGITS.model_copy(update={"name": name})], {})

    def test_layer__unknown(self, make_store, make_rows):
        store = make_store(make_rows(4))
        for call in (store.committed_parts, store.failures, lambda name: store.commit(name, 0)):
            with pytest.raises(CacheError, match="no layer 'teacher'; it has none"):
                call("teacher")

    def test_modules__come_back(self, make_store, make_rows):
        store = make_store(make_rows(2))
        model = torch.nn.Sequential(torch.nn.Conv1d(2, 3, 1), torch.nn.BatchNorm1d(3))
        arguments = {"channels": 2, "kind": "paper", "spatial_size": [7, 7], "hidden": None}
        store.save_module("attention_head", model.state_dict(), arguments)
        saved = store.load_module("attention_head")
        assert saved.arguments == arguments
        assert saved.state_dict.keys() == model.state_dict().keys()
        for name, value in model.state_dict().items():
            assert torch.equal(saved.state_dict[name], value)
        store.save_module("attention_head", {"w": torch.ones(2)}, {})
        assert store.load_module("attention_head").state_dict["w"].tolist() == [1, 1]
        assert store.module_names() == ["attention_head"]
        with pytest.raises(CacheError, match="no module 'cvae'; it has attention_head"):
            store.load_module("cvae")

    def test_modules__tied_weights(self, make_store, make_rows):
        store = make_store(make_rows(2))
        tied = torch.arange(4.0)
        store.save_module("classifier", {"a": tied, "b": tied[:2]}, {})
        assert store.load_module("classifier").state_dict["b"].tolist() == [0, 1]

    @settings(
        max_examples=12,
        deadline=None,
        suppress_health_check=[
            HealthCheck.function_scoped_fixture,
            HealthCheck.differing_executors,
            HealthCheck.too_slow,
        ],
    )
    @given(data=st.data())
    def test_round_trip__bit_for_bit(self, make_store, make_rows, data):
        """Random bytes hold NaNs of every payload, infinities and subnormals."""
        num_rows = data.draw(st.integers(1, 9), label="num_rows")
        part_rows = data.draw(st.integers(1, 5), label="part_rows")
        spec = ArraySpec(
            name="a",
            shape=tuple(data.draw(st.lists(st.integers(1, 3), max_size=4), label="shape")),
            dtype=data.draw(st.sampled_from(ArraySpec.model_fields["dtype"].annotation.__args__)),
            compression=data.draw(st.sampled_from(["zstd", "lz4", "gzip", "none"])),
        )
        seed = data.draw(st.integers(0, 2**32 - 1), label="seed")
        rows = data.draw(st.lists(st.integers(0, num_rows - 1), max_size=12), label="rows")
        stored = {}
        for array in stored_arrays(spec):
            content = np.random.default_rng(seed).bytes(num_rows * array.row_bytes)
            values = np.frombuffer(content, dtype=array.dtype)
            stored[array.name] = values.reshape(num_rows, *array.shape)

        with make_store(make_rows(num_rows), part_rows=part_rows) as store:
            store.add_layer("teacher", [spec], {})
            for part in range(store.num_parts):
                span = store.part_range(part)
                values = {name: v[span.start : span.stop] for name, v in stored.items()}
                store.write_stored_part("teacher", part, values, {}, {}, {})
            found = store.read_stored("a", rows)
        assert found.keys() == stored.keys()
        for name, values in stored.items():
            assert found[name].dtype == values.dtype
            assert found[name].shape == (len(rows), *values.shape[1:])
            assert found[name].tobytes() == values[rows].tobytes()

    @pytest.mark.parametrize("dtype", FEATURE_DTYPES)
    def test_number_formats__keep_their_error_with_the_part(self, make_store, make_rows, dtype):
        spec = MAP.model_copy(update={"dtype": dtype})
        values = np.random.default_rng(0).normal(size=(6, *MAP.shape)).astype(np.float32)
        store = make_store(make_rows(6), part_rows=6)
        store.add_layer("teacher", [spec], {})
        store.write_part("teacher", 0, {MAP.name: values}, {3: "no"}, {})
        found = store.read_rows(MAP.name, [5, 0, 4]).float().numpy()
        error = np.linalg.norm(found - values[[5, 0, 4]]) / np.linalg.norm(values[[5, 0, 4]])
        recorded = store.commit("teacher", 0).codec_errors[MAP.name]
        assert error <= {"float32": 0, "float16": 1e-3, "bfloat16": 4e-3, "scaled_uint8": 1e-2,
                         "float8_e4m3": 5e-2, "float8_e5m2": 1e-1}[dtype]  # fmt: skip
        assert (recorded.relative_l2 > 0) == (dtype != "float32")
        assert recorded.num_values == 2 * np.prod(MAP.shape)

    def test_add_rows__are_parts_of_their_own(self, make_store, make_rows):
        store = make_store(make_rows(6), part_rows=4)
        fill(store)
        store.save_module("cvae", {"w": torch.ones(2)}, {})
        store.add_rows(make_rows(3).assign(view_index=7))
        assert (store.num_rows, store.num_parts) == (9, 3)
        assert [store.part_range(part) for part in range(3)] == [
            range(4), range(4, 6), range(8, 11),
        ]  # fmt: skip
        assert store.rows["row"].tolist() == [0, 1, 2, 3, 4, 5, 8, 9, 10]
        assert store.rows["view_index"].tolist()[-3:] == [7, 7, 7]
        assert store.committed_parts("teacher") == {0, 1}
        with pytest.raises(CacheError, match="row 6 does not exist"):
            store.read_rows(LOGITS.name, [6])
        with pytest.raises(CacheIncompleteError, match="row 8"):
            store.read_rows(LOGITS.name, [8])
        store.write_part("teacher", 2, part_values(store, 2), {}, {})
        assert store.read_rows(LOGITS.name, [10, 5])[:, 0].tolist() == [80, 40]
        assert store.read_rows(MAP.name, [10, 5]).flatten(1)[:, 0].tolist() == [80, 40]
        store.add_rows(make_rows(1))
        assert store.part_range(3) == range(12, 13)

    def test_add_rows__refuses_other_tables(self, make_store, make_rows):
        store = make_store(make_rows(6), part_rows=4)
        with pytest.raises(CacheError, match="lacks column flip"):
            store.add_rows(make_rows(2).drop(columns="flip"))
        assert store.num_rows == 6

    def test_retract_part__can_be_written_again(self, make_store, make_rows):
        store = make_store(make_rows(6), part_rows=4)
        fill(store)
        store.retract_part("teacher", 1)
        assert store.committed_parts("teacher") == {0}
        with pytest.raises(CacheIncompleteError, match="row 5"):
            store.read_rows(LOGITS.name, [5])
        values = {name: value + 1 for name, value in part_values(store, 1).items()}
        store.write_part("teacher", 1, values, {}, {})
        assert store.read_rows(LOGITS.name, [5])[0, 0] == 41
        with pytest.raises(CacheError, match="part 2 does not exist"):
            store.retract_part("teacher", 2)

    def test_remove_arrays__keeps_the_others(self, make_store, make_rows):
        store = make_store(make_rows(6), part_rows=4)
        fill(store)
        store.add_layer("more", [MAP.model_copy(update={"name": "more"})], {})
        store.remove_arrays([MAP.name, "more"])
        assert list(store.layers()) == ["teacher"]
        assert store.read_rows(LOGITS.name, [5])[0, 0] == 40
        with pytest.raises(CacheError, match="no array 'features"):
            store.read_rows(MAP.name, [0])
        with pytest.raises(CacheError, match="no array 'more'"):
            store.remove_arrays(["more"])
        again = MAP.model_copy(update={"dtype": "float32"})
        store.add_layer("again", [again], {})
        values = {MAP.name: part_values(store, 1)[MAP.name]}
        store.write_part("again", 1, values, {}, {})
        assert store.read_rows(MAP.name, [5]).flatten()[0] == 40


class TestMemoryStore(StoreContract):
    @pytest.fixture
    def make_store(self):
        def make(rows: pd.DataFrame, part_rows: int = 4) -> CacheStore:
            return MemoryStore(rows, part_rows=part_rows)

        return make


class TestFolderStore(StoreContract):
    """Read from disk at every call."""

    resident_array_bytes = 0
    backend = "zarr"

    @pytest.fixture
    def make_store(self, tmp_path: Path):
        stores: list[FolderStore] = []

        def make(rows: pd.DataFrame, part_rows: int = 4) -> CacheStore:
            stores.append(
                FolderStore.create(
                    tmp_path / f"cache_{len(stores)}",
                    rows,
                    part_rows=part_rows,
                    backend=self.backend,
                    resident_array_bytes=self.resident_array_bytes,
                )
            )
            return stores[-1]

        yield make
        for store in stores:
            store.close()


class TestFolderStoreInMemory(TestFolderStore):
    """Arrays kept in memory once read."""

    resident_array_bytes = 2**20


class TestFolderStoreOfHdf5(TestFolderStore):
    """The other backend."""

    backend = "hdf5"


class TestFolderStoreOfHdf5InMemory(TestFolderStoreOfHdf5):
    """Arrays kept in memory once read."""

    resident_array_bytes = 2**20
