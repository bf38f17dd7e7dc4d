"""The contract of a cache: rows in parts, arrays in layers, commits that make parts count.

A cache holds R rows (one per video and view), cut into parts of ``part_rows``. A *layer* is a named
set of arrays that are written together, with its own fingerprint and its own commits: ``teacher``
is written by extraction, later work adds layers over the same rows, or rows to every layer. A part
of a layer exists from the moment its commit record does, whole or not at all, and never changes
afterwards; it can only be retracted, and then be written again.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import NamedTuple, TypeVar

import numpy as np
import pandas as pd
from torch import Tensor

from featkd.cache.codec_error import CodecError
from featkd.cache.commit import Commit, FileDigest
from featkd.cache.fingerprint import Fingerprint
from featkd.cache.new_layer import is_new_layer
from featkd.cache.number_format import decode, encode, stored_arrays
from featkd.cache.part import blank_failed_rows, check_part, check_representable, measure_part
from featkd.cache.part_layout import PartLayout
from featkd.cache.row_table import check_row_table
from featkd.cache.spec import ArraySpec, LayerSpec, StoredArray, check_name
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
        layout: how its rows are numbered and cut into parts.
    """

    def __init__(self, *, location: str, layout: PartLayout) -> None:
        self.location = location
        self.layout = layout

    @property
    def num_rows(self) -> int:
        """Rows of the sample table."""
        return self.layout.num_rows

    @property
    def part_rows(self) -> int:
        """Rows of a part; the last part of a block may have fewer."""
        return self.layout.part_rows

    @property
    def num_parts(self) -> int:
        """How many parts the rows make."""
        return self.layout.num_parts

    def part_range(self, part: int) -> range:
        """Rows of a part.

        Raises:
            CacheError: there is no such part.
        """
        try:
            return self.layout.part_range(part)
        except CacheError as error:
            raise CacheError(f"{self.location}: {error}") from error

    @property
    def rows(self) -> pd.DataFrame:
        """The sample table: the columns of `ROW_COLUMNS` and whatever else creation was given.

        The column ``row`` has the number of each row: 0, 1, 2 and so on, with a gap where rows
        were added later.

        Raises:
            CacheError: the table is damaged.
        """
        return self.row_columns()

    @abstractmethod
    def row_columns(self, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """Some columns of the sample table, in the order of its rows; all where none is named.

        Raises:
            CacheError: the table is damaged or has no such column.
        """

    def add_rows(self, rows: pd.DataFrame) -> None:
        """Add rows behind those there are, in parts of their own that no layer has written yet.

        Args:
            rows: a sample table; its column ``row`` counts from 0 and is renumbered.

        Raises:
            CacheError: it is not a sample table, or the cache was opened for reading.
            StorageFullError: the disk is full.
        """
        check_row_table(rows)
        layout = self.layout.with_block(len(rows))
        self._add_rows(rows.assign(row=layout.row_numbers()[self.num_rows :]), layout)
        self.layout = layout

    @abstractmethod
    def layers(self) -> Mapping[str, LayerSpec]:
        """The layers by name."""

    def add_layer(self, name: str, arrays: Sequence[ArraySpec], fingerprint: Fingerprint) -> None:
        """Add a layer, or, where it exists, check that it is the same.

        Raises:
            CacheError: the layer exists with other arrays, an array belongs to another layer or
                would lie in the folder of another, or the cache was opened for reading.
            FingerprintError: the layer exists and was made from something else.
        """
        _check_name(name, "layer name")
        wanted = LayerSpec(arrays=tuple(arrays), fingerprint=dict(fingerprint))
        if is_new_layer(name, wanted, self.layers(), cache=self.location):
            self._create_layer(name, wanted)

    def remove_arrays(self, names: Sequence[str]) -> None:
        """Delete arrays; a layer that has none left is deleted too.

        Raises:
            CacheError: there is no such array, or the cache was opened for reading.
        """
        for name in names:
            self._array(name)
        layers = {}
        for layer_name, layer in self.layers().items():
            kept = tuple(array for array in layer.arrays if array.name not in names)
            if kept:
                layers[layer_name] = layer.model_copy(update={"arrays": kept})
        self._replace_layers(layers)

    def retract_part(self, layer: str, part: int) -> None:
        """Take a part's commit back, so that it can be written again.

        Raises:
            CacheError: there is no such layer or part, or the cache was opened for reading.
        """
        self._layer(layer)
        self.part_range(part)
        self._remove_commit(layer, part)

    def committed_parts(self, layer: str) -> set[int]:
        """Parts of a layer that are wholly written, which is those that have a commit record.

        Raises:
            CacheError: there is no such layer.
        """
        self._layer(layer)
        return self._recorded_parts(layer)

    def commit(self, layer: str, part: int) -> Commit:
        """The commit record of a part.

        Raises:
            CacheError: there is no such layer or part, or the record is damaged.
            CacheIncompleteError: the part is not committed.
        """
        self._layer(layer)
        start = self.part_range(part).start
        return self._require_commit(layer, part, start)

    def commits(self, layer: str) -> Iterator[Commit]:
        """Every commit record of a layer, by rising part; read anew at each call.

        Raises:
            CacheError: there is no such layer, or a record is damaged.
        """
        self._layer(layer)
        return self._scan_commits(layer)

    def failures(self, layer: str) -> dict[int, str]:
        """Rows of the committed parts that have no data, with the reason.

        Raises:
            CacheError: there is no such layer, or a commit record is damaged.
        """
        return {
            row: reason
            for commit in self.commits(layer)
            for row, reason in sorted(commit.failures.items())
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
                fit the layer, numbers that its number formats cannot hold, or the cache was opened
                for reading.
            StorageFullError: the disk is full. Nothing that was committed is touched.
        """
        spec = self._layer(layer)
        rows = self.part_range(part)
        self._require_absent(layer, part)
        check_part(layer, spec, rows, arrays, failures)
        check_representable(spec, rows, arrays, failures)
        stored: dict[str, np.ndarray] = {}
        for array in spec.arrays:
            stored |= encode(array, arrays[array.name])
        errors = measure_part(spec, rows, arrays, failures)
        self.write_stored_part(layer, part, stored, failures, seconds, errors)

    def write_stored_part(
        self,
        layer: str,
        part: int,
        stored: Mapping[str, np.ndarray],
        failures: Mapping[int, str],
        seconds: Mapping[str, float],
        codec_errors: Mapping[str, CodecError],
    ) -> None:
        """Write and commit a part whose values are encoded already, as from another cache.

        Args:
            layer: its name.
            part: its index.
            stored: by name, every array of `stored_arrays` of the layer's arrays.
            failures: as in `write_part`.
            seconds: as in `write_part`.
            codec_errors: what the number formats did, by array, for the record.

        Raises:
            CacheError: unknown layer or part, the part is already committed, or the cache was
                opened for reading.
            StorageFullError: the disk is full. Nothing that was committed is touched.
        """
        spec = self._layer(layer)
        rows = self.part_range(part)
        self._require_absent(layer, part)
        arrays = [array for member in spec.arrays for array in stored_arrays(member)]
        blanked = blank_failed_rows(stored, rows, failures)
        files = self._write_files(part, {array: blanked[array.name] for array in arrays})
        self._write_commit(
            Commit(
                layer=layer,
                part=part,
                start_row=rows.start,
                stop_row=rows.stop,
                failures=dict(failures),
                files=files,
                seconds=dict(seconds),
                codec_errors=dict(codec_errors),
            )
        )

    def read_stored(self, array_name: str, rows: Sequence[int]) -> dict[str, np.ndarray]:
        """What is stored of some rows, encoded; rows without data are blank.

        Returns:
            By the names of `stored_arrays`, (len(rows), ...) each.

        Raises:
            CacheError: unknown array or row, or damaged data.
            CacheIncompleteError: a row is not committed yet.
        """
        layer, spec = self._array(array_name)
        commits = self._commits_of(layer, rows)
        return {array.name: self._read_parts(commits, array, rows) for array in stored_arrays(spec)}

    def read_rows(self, array_name: str, rows: Sequence[int]) -> Tensor:
        """Read rows of an array, in the order asked for; a row may be asked for twice.

        Returns:
            (len(rows), ...), the caller's to change, in numbers that torch computes with; see
            `featkd.cache.number_format.decode`.

        Raises:
            CacheError: unknown array, a row out of range, a failed row, or damaged data.
            CacheIncompleteError: a row is not committed yet.
        """
        layer, spec = self._array(array_name)
        commits = self._commits_of(layer, rows)
        for row in rows:
            reason = commits[self.layout.part_of(row)].failures.get(row)
            if reason is not None:
                raise CacheError(
                    f"row {row} of layer {layer!r} in {self.location} has no data: {reason}"
                )
        stored = {
            array.name: self._read_parts(commits, array, rows) for array in stored_arrays(spec)
        }
        return decode(spec, stored)

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
    def _replace_layers(self, layers: Mapping[str, LayerSpec]) -> None:
        """Record that these are all layers, then delete the arrays that none of them names."""

    @abstractmethod
    def _add_rows(self, rows: pd.DataFrame, layout: PartLayout) -> None:
        """Store a further block of the sample table, and adopt the layout."""

    @abstractmethod
    def _recorded_parts(self, layer: str) -> set[int]:
        """Parts that have a commit record now."""

    @abstractmethod
    def _scan_commits(self, layer: str) -> Iterator[Commit]:
        """Every commit record of a layer by rising part, as of now."""

    @abstractmethod
    def _find_commit(self, layer: str, part: int) -> Commit | None:
        """The commit record of a part, or None where there is none now."""

    @abstractmethod
    def _write_files(
        self, part: int, arrays: Mapping[StoredArray, np.ndarray]
    ) -> dict[str, FileDigest]:
        """Store a part of some arrays so that it survives a crash, and digest what was stored."""

    @abstractmethod
    def _write_commit(self, commit: Commit) -> None:
        """Store a commit record, whole or not at all."""

    @abstractmethod
    def _remove_commit(self, layer: str, part: int) -> None:
        """Delete a commit record, damaged or not; do nothing where there is none."""

    @abstractmethod
    def _write_module(
        self, name: str, state_dict: Mapping[str, Tensor], arguments: Mapping[str, object]
    ) -> None:
        """Store a module, whole or not at all."""

    @abstractmethod
    def _read_parts(
        self, commits: Mapping[int, Commit], array: StoredArray, rows: Sequence[int]
    ) -> np.ndarray:
        """Read rows, (len(rows), ...); ``commits`` has the record of every part they lie in."""

    def _commits_of(self, layer: str, rows: Sequence[int]) -> dict[int, Commit]:
        """The commit records of the parts that rows lie in."""
        commits: dict[int, Commit] = {}
        for row in rows:
            part = self.layout.part_of(row)
            if part not in commits:
                if row < 0 or not self.layout.has_row(row):
                    raise self._no_such_row(row)
                commits[part] = self._require_commit(layer, part, row)
            if not commits[part].start_row <= row < commits[part].stop_row:
                raise self._no_such_row(row)
        return commits

    def _require_absent(self, layer: str, part: int) -> None:
        if self._find_commit(layer, part) is not None:
            raise CacheError(
                f"part {part} of layer {layer!r} is already committed in {self.location}"
            )

    def _no_such_row(self, row: int) -> CacheError:
        return CacheError(
            f"row {row} does not exist in {self.location}; expected 0 to {self.layout.capacity - 1}"
        )

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
