"""The contract of a cache: rows in parts, arrays in layers, commits that make parts count.

A cache holds R rows (one per video and view), cut into parts of ``part_rows``. A *layer* is a named
set of arrays that are written together, with its own fingerprint and its own commits: ``teacher``
is written by extraction, later work adds layers over the same rows. A part of a layer exists from
the moment its commit record does, whole or not at all, and never changes afterwards.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import NamedTuple, TypeVar

import numpy as np
import pandas as pd
from torch import Tensor

from featkd.cache.fingerprint import Fingerprint, require_match
from featkd.cache.part import blank_failed_rows, check_part
from featkd.cache.spec import ArraySpec, Commit, LayerSpec, ShardDigest, check_name
from featkd.errors import CacheError, CacheIncompleteError

Store = TypeVar("Store", bound="CacheStore")


class SavedModule(NamedTuple):
    """A frozen module of the teacher, as it lies in a cache."""

    state_dict: dict[str, Tensor]
    arguments: dict[str, object]


class CacheStore(ABC):
    """A cache, whatever it is stored in.

    This class checks requests; a backend implements the abstract methods. Reading may be done by
    several threads at once, and so may writing of different parts.

    Args:
        location: where the cache is, for messages.
        num_rows: rows of the sample table.
        part_rows: rows of a part; the last part may have fewer.
    """

    def __init__(self, *, location: str, num_rows: int, part_rows: int) -> None:
        self.location = location
        self.num_rows = num_rows
        self.part_rows = part_rows

    @property
    def num_parts(self) -> int:
        """How many parts the rows make."""
        return -(-self.num_rows // self.part_rows)

    def part_range(self, part: int) -> range:
        """Rows of a part.

        Raises:
            CacheError: there is no such part.
        """
        if not 0 <= part < self.num_parts:
            raise CacheError(
                f"part {part} does not exist in {self.location}; expected 0 to {self.num_parts - 1}"
            )
        start = part * self.part_rows
        return range(start, min(start + self.part_rows, self.num_rows))

    @property
    @abstractmethod
    def rows(self) -> pd.DataFrame:
        """The sample table: the columns of `ROW_COLUMNS` and whatever else creation was given."""

    @abstractmethod
    def layers(self) -> Mapping[str, LayerSpec]:
        """The layers by name."""

    def add_layer(self, name: str, arrays: Sequence[ArraySpec], fingerprint: Fingerprint) -> None:
        """Add a layer, or, where it exists, check that it is the same.

        Raises:
            CacheError: the layer exists with other arrays, an array belongs to another layer, or
                the cache was opened for reading.
            FingerprintError: the layer exists and was made from something else.
        """
        _check_name(name, "layer name")
        wanted = LayerSpec(arrays=tuple(arrays), fingerprint=dict(fingerprint))
        known = self.layers()
        if name in known:
            require_match(
                known[name].fingerprint, fingerprint, cache=f"layer {name!r} of {self.location}"
            )
            if known[name].arrays != wanted.arrays:
                raise CacheError(
                    f"layer {name!r} of {self.location} has {_describe(known[name].arrays)}; "
                    f"{_describe(wanted.arrays)} is asked for"
                )
            return
        taken = [array.name for layer in known.values() for array in layer.arrays]
        for array in wanted.arrays:
            if array.name in taken:
                raise CacheError(f"{self.location} already has an array {array.name!r}")
            taken.append(array.name)
        self._create_layer(name, wanted)

    def committed_parts(self, layer: str) -> set[int]:
        """Parts of a layer that are wholly written.

        Raises:
            CacheError: there is no such layer, or a commit record is damaged.
        """
        self._layer(layer)
        return set(self._commits(layer))

    def commit(self, layer: str, part: int) -> Commit:
        """The commit record of a part.

        Raises:
            CacheError: there is no such layer or part, or the record is damaged.
            CacheIncompleteError: the part is not committed.
        """
        self._layer(layer)
        start = self.part_range(part).start
        return self._require_commit(layer, part, start)

    def failures(self, layer: str) -> dict[int, str]:
        """Rows of the committed parts that have no data, with the reason.

        Raises:
            CacheError: there is no such layer, or a commit record is damaged.
        """
        self._layer(layer)
        commits = self._commits(layer)
        return {
            row: reason
            for part in sorted(commits)
            for row, reason in sorted(commits[part].failures.items())
        }

    def write_part(
        self,
        layer: str,
        part: int,
        arrays: Mapping[str, np.ndarray],
        failures: Mapping[int, str],
        seconds: Mapping[str, float],
    ) -> None:
        """Write a part of a layer and commit it.

        Args:
            layer: its name.
            part: its index.
            arrays: one for each array of the layer, of shape (rows of the part, ...). What they
                hold for failed rows is not stored.
            failures: reason by row (of the cache, not of the part) that has no data.
            seconds: time spent by stage, for the record.

        Raises:
            CacheError: unknown layer or part, the part is already committed, arrays that do not
                fit the layer, or the cache was opened for reading.
            StorageFullError: the disk is full. Nothing that was committed is touched.
        """
        spec = self._layer(layer)
        rows = self.part_range(part)
        if self._find_commit(layer, part) is not None:
            raise CacheError(
                f"part {part} of layer {layer!r} is already committed in {self.location}"
            )
        check_part(layer, spec, rows, arrays, failures)
        shards = self._write_shards(part, blank_failed_rows(arrays, rows, failures))
        self._write_commit(
            Commit(
                layer=layer,
                part=part,
                start_row=rows.start,
                stop_row=rows.stop,
                failures=dict(failures),
                shards=shards,
                seconds=dict(seconds),
            )
        )

    def read_rows(self, array_name: str, rows: Sequence[int]) -> Tensor:
        """Read rows of an array, in the order asked for; a row may be asked for twice.

        Returns:
            (len(rows), ...) in the array's dtype, the caller's to change.

        Raises:
            CacheError: unknown array, a row out of range, a failed row, or damaged data.
            CacheIncompleteError: a row is not committed yet.
        """
        layer, spec = self._array(array_name)
        for row in rows:
            if not 0 <= row < self.num_rows:
                raise CacheError(
                    f"row {row} does not exist in {self.location}; "
                    f"expected 0 to {self.num_rows - 1}"
                )
            commit = self._require_commit(layer, row // self.part_rows, row)
            if row in commit.failures:
                raise CacheError(
                    f"row {row} of layer {layer!r} in {self.location} has no data: "
                    f"{commit.failures[row]}"
                )
        return self._read(layer, spec, rows)

    def save_module(
        self, name: str, state_dict: Mapping[str, Tensor], arguments: Mapping[str, object]
    ) -> None:
        """Save a frozen module beside the rows, replacing one of that name.

        Args:
            name: for example ``cvae``.
            state_dict: its weights.
            arguments: what its constructor takes, as JSON can hold it, so that it can be built
                again.

        Raises:
            CacheError: the cache was opened for reading, the name cannot be a file name, or an
                argument cannot be JSON.
            StorageFullError: the disk is full.
        """
        _check_name(name, "module name")
        try:
            json.dumps(dict(arguments))
        except TypeError as error:
            raise CacheError(f"arguments of module {name!r} cannot be saved: {error}") from error
        self._write_module(name, state_dict, arguments)

    @abstractmethod
    def load_module(self, name: str) -> SavedModule:
        """Load a frozen module.

        Raises:
            CacheError: there is none of that name, or it is damaged.
        """

    @abstractmethod
    def module_names(self) -> list[str]:
        """Names of the saved modules, in alphabetical order."""

    @abstractmethod
    def close(self) -> None:
        """Give up the right to write and everything held in memory. May be called twice."""

    def __enter__(self: Store) -> Store:  # noqa: PYI019  beartype knows no Self here
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @abstractmethod
    def _create_layer(self, name: str, layer: LayerSpec) -> None:
        """Make room for the arrays of a new layer, then record it."""

    @abstractmethod
    def _commits(self, layer: str) -> Mapping[int, Commit]:
        """Every commit record of a layer by part, as of now."""

    @abstractmethod
    def _find_commit(self, layer: str, part: int) -> Commit | None:
        """The commit record of a part, or None where there is none now."""

    @abstractmethod
    def _write_shards(self, part: int, arrays: Mapping[str, np.ndarray]) -> dict[str, ShardDigest]:
        """Store a part of some arrays so that it survives a crash, and digest what was stored."""

    @abstractmethod
    def _write_commit(self, commit: Commit) -> None:
        """Store a commit record, whole or not at all."""

    @abstractmethod
    def _write_module(
        self, name: str, state_dict: Mapping[str, Tensor], arguments: Mapping[str, object]
    ) -> None:
        """Store a module, whole or not at all."""

    @abstractmethod
    def _read(self, layer: str, array: ArraySpec, rows: Sequence[int]) -> Tensor:
        """Read rows that are known to be committed and not failed."""

    def _layer(self, name: str) -> LayerSpec:
        layers = self.layers()
        if name not in layers:
            raise CacheError(
                f"{self.location} has no layer {name!r}; it has {', '.join(layers) or 'none'}"
            )
        return layers[name]

    def _array(self, name: str) -> tuple[str, ArraySpec]:
        """Find an array and the name of its layer."""
        layers = self.layers()
        for layer_name, layer in layers.items():
            for array in layer.arrays:
                if array.name == name:
                    return layer_name, array
        known = [array.name for layer in layers.values() for array in layer.arrays]
        raise CacheError(
            f"{self.location} has no array {name!r}; it has {', '.join(known) or 'none'}"
        )

    def _require_commit(self, layer: str, part: int, row: int) -> Commit:
        commit = self._find_commit(layer, part)
        if commit is None:
            raise CacheIncompleteError(
                f"row {row} (part {part}) of layer {layer!r} is not in {self.location} yet; "
                "run the command that writes it again, and it will go on where it stopped"
            )
        return commit


def _check_name(name: str, what: str) -> None:
    try:
        check_name(name, what)
    except ValueError as error:
        raise CacheError(str(error)) from error


def _describe(arrays: Sequence[ArraySpec]) -> str:
    return ", ".join(f"{array.name} {array.dtype}{list(array.shape)}" for array in arrays)
