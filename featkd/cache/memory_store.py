"""A cache in memory: for tests and for data that is not worth a disk."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from io import BytesIO

import numpy as np
import pandas as pd
from torch import Tensor

from featkd.cache.commit import Commit, FileDigest
from featkd.cache.number_format import stored_arrays
from featkd.cache.part_layout import PartLayout
from featkd.cache.row_table import check_row_table, decode_row_table, encode_row_table
from featkd.cache.spec import DEFAULT_PART_ROWS, LayerSpec, StoredArray
from featkd.cache.store import CacheStore, SavedModule
from featkd.errors import CacheError


class MemoryStore(CacheStore):
    """A cache that lives and dies with this process.

    Args:
        rows: the sample table, with at least the columns of `ROW_COLUMNS`.
        part_rows: rows of a part.

    Raises:
        CacheError: the table is not a sample table.
    """

    def __init__(self, rows: pd.DataFrame, *, part_rows: int = DEFAULT_PART_ROWS) -> None:
        check_row_table(rows)
        layout = PartLayout(part_rows, (len(rows),))
        super().__init__(location="the cache in memory", layout=layout)
        # Through Parquet, so that the columns come back as they do from a cache on disk.
        self._blocks = [encode_row_table(rows)]
        self._layers: dict[str, LayerSpec] = {}
        self._arrays: dict[str, np.ndarray] = {}
        self._records: dict[str, dict[int, Commit]] = {}
        self._modules: dict[str, SavedModule] = {}

    def row_columns(self, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """Some columns of the sample table, or all of it."""
        tables = [decode_row_table(BytesIO(block), columns) for block in self._blocks]
        return pd.concat(tables, ignore_index=True)

    def layers(self) -> Mapping[str, LayerSpec]:
        """The layers by name."""
        return dict(self._layers)

    def load_module(self, name: str) -> SavedModule:
        """Load a frozen module."""
        if name not in self._modules:
            known = ", ".join(self.module_names()) or "none"
            raise CacheError(f"{self.location} has no module {name!r}; it has {known}")
        return deepcopy(self._modules[name])

    def module_names(self) -> list[str]:
        """Names of the saved modules, in alphabetical order."""
        return sorted(self._modules)

    def close(self) -> None:
        """Do nothing: there is no lock, and the rows stay readable."""

    def _create_layer(self, name: str, layer: LayerSpec) -> None:
        for array in layer.arrays:
            for stored in stored_arrays(array):
                shape = (self.layout.capacity, *stored.shape)
                self._arrays[stored.name] = np.empty(shape, dtype=stored.dtype)
        self._records[name] = {}
        self._layers[name] = layer

    def _replace_layers(self, layers: Mapping[str, LayerSpec]) -> None:
        arrays = [array for layer in layers.values() for array in layer.arrays]
        kept = {stored.name for array in arrays for stored in stored_arrays(array)}
        self._arrays = {name: values for name, values in self._arrays.items() if name in kept}
        self._records = {name: self._records[name] for name in layers}
        self._layers = dict(layers)

    def _add_rows(self, rows: pd.DataFrame, layout: PartLayout) -> None:
        for name, values in self._arrays.items():
            longer = np.empty((layout.capacity, *values.shape[1:]), dtype=values.dtype)
            longer[: len(values)] = values
            self._arrays[name] = longer
        self._blocks.append(encode_row_table(rows))

    def _recorded_parts(self, layer: str) -> set[int]:
        return set(self._records[layer])

    def _scan_commits(self, layer: str) -> Iterator[Commit]:
        return iter([commit for _, commit in sorted(self._records[layer].items())])

    def _find_commit(self, layer: str, part: int) -> Commit | None:
        return self._records[layer].get(part)

    def _write_files(
        self, part: int, arrays: Mapping[StoredArray, np.ndarray]
    ) -> dict[str, FileDigest]:
        rows = self.part_range(part)
        digests = {}
        for array, values in arrays.items():
            self._arrays[array.name][rows.start : rows.stop] = values
            digests[array.name] = FileDigest(
                sha256=hashlib.sha256(values.tobytes()).hexdigest(), num_bytes=values.nbytes
            )
        return digests

    def _write_commit(self, commit: Commit) -> None:
        self._records[commit.layer][commit.part] = commit

    def _remove_commit(self, layer: str, part: int) -> None:
        self._records[layer].pop(part, None)

    def _write_module(
        self, name: str, state_dict: Mapping[str, Tensor], arguments: Mapping[str, object]
    ) -> None:
        weights = {key: value.detach().cpu().clone() for key, value in state_dict.items()}
        self._modules[name] = SavedModule(weights, deepcopy(dict(arguments)))

    def _read_parts(
        self,
        commits: Mapping[int, Commit],  # noqa: ARG002 - nothing here can be damaged
        array: StoredArray,
        rows: Sequence[int],
    ) -> np.ndarray:
        return self._arrays[array.name][list(rows)]
