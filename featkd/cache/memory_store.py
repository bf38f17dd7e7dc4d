"""A cache in memory: for tests and for data that is not worth a disk."""

import hashlib
from collections.abc import Mapping, Sequence
from copy import deepcopy

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from featkd.cache.row_table import check_row_table, decode_row_table, encode_row_table
from featkd.cache.spec import DEFAULT_PART_ROWS, ArraySpec, Commit, LayerSpec, ShardDigest
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
        if part_rows < 1:
            raise CacheError(f"part_rows is {part_rows}; expected at least 1")
        super().__init__(location="the cache in memory", num_rows=len(rows), part_rows=part_rows)
        # Through Parquet, so that the columns come back as they do from a cache on disk.
        self._rows = decode_row_table(encode_row_table(rows))
        self._layers: dict[str, LayerSpec] = {}
        self._arrays: dict[str, np.ndarray] = {}
        self._records: dict[str, dict[int, Commit]] = {}
        self._modules: dict[str, SavedModule] = {}

    @property
    def rows(self) -> pd.DataFrame:
        """The sample table."""
        return self._rows.copy(deep=False)

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
            self._arrays[array.name] = np.empty((self.num_rows, *array.shape), dtype=array.dtype)
        self._records[name] = {}
        self._layers[name] = layer

    def _commits(self, layer: str) -> Mapping[int, Commit]:
        return dict(self._records[layer])

    def _find_commit(self, layer: str, part: int) -> Commit | None:
        return self._records[layer].get(part)

    def _write_shards(self, part: int, arrays: Mapping[str, np.ndarray]) -> dict[str, ShardDigest]:
        rows = self.part_range(part)
        digests = {}
        for name, values in arrays.items():
            self._arrays[name][rows.start : rows.stop] = values
            digests[name] = ShardDigest(
                sha256=hashlib.sha256(values.tobytes()).hexdigest(), num_bytes=values.nbytes
            )
        return digests

    def _write_commit(self, commit: Commit) -> None:
        self._records[commit.layer][commit.part] = commit

    def _write_module(
        self, name: str, state_dict: Mapping[str, Tensor], arguments: Mapping[str, object]
    ) -> None:
        weights = {key: value.detach().cpu().clone() for key, value in state_dict.items()}
        self._modules[name] = SavedModule(weights, deepcopy(dict(arguments)))

    def _read(self, layer: str, array: ArraySpec, rows: Sequence[int]) -> Tensor:  # noqa: ARG002
        return torch.from_numpy(self._arrays[array.name][list(rows)])
